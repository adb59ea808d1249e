"""The critical-difference diagram: mean ranks over datasets on a line, bars join rows that cannot be told apart."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.common.fonts import fonts_for
from harness.reports.figures.drawing import COLOURS, GREY, LETTER, Plot, style
from harness.reports.words import p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.reports.leaderboard import Leaderboard
    from harness.reports.over_datasets import OverDatasets

LINE = 0.24  # inches, height of a name
AXIS = 4.2  # inches, length of the axis of ranks


def critical_difference_diagram(over: OverDatasets) -> Plot:
    """Mean ranks of one setting. It needs two rows at least.

    Source: Demšar 2006, figure 1, with bars by Wilcoxon's tests (Holm) in place of Nemenyi's, which depend on the other
    rows of the diagram (Benavoli, Corani & Mangili 2016).
    """
    from matplotlib.figure import Figure

    names = list(over.mean_ranks)
    groups = _groups(over)
    half = (len(names) + 1) // 2
    side = 0.35 + LETTER * max(map(len, names))  # inches, of names on each side
    top, between = 0.75, 0.2 + 0.1 * len(groups)
    height = top + between + LINE * half + 0.15
    families = fonts_for("".join(names)).families
    with style(families=families):
        figure = Figure(figsize=(AXIS + 2 * side, height))
        panel = figure.add_axes((side / (AXIS + 2 * side), 0, AXIS / (AXIS + 2 * side), 1))
        panel.set_xlim(1, max(len(names), 2))
        panel.set_ylim(-height, 0)
        panel.axis("off")
        _axis(panel, len(names), -top)
        _critical_difference(panel, over)
        for i, (first, last) in enumerate(groups):
            y = -top - 0.12 - 0.1 * i
            panel.plot(
                (first - 0.03, last + 0.03), (y, y), lw=3, color=COLOURS[0], solid_capstyle="butt", clip_on=False
            )
        for i, (name, rank) in enumerate(over.mean_ranks.items()):
            left = i < half
            y = -top - between - LINE * (i if left else len(names) - 1 - i)
            end, align = (1.0, "right") if left else (float(max(len(names), 2)), "left")
            panel.plot((rank, rank, end), (-top, y, y), lw=0.8, color=GREY, clip_on=False)
            room = -0.08 if left else 0.08
            panel.text(end + room, y, f"{name}", ha=align, va="center", size=9, clip_on=False)
    caption = (
        f"Mean ranks over {len(over.datasets)} datasets, {over.spec}, 1 the highest (all alike: p = "
        f"{p_value(over.friedman_p)}, Friedman). Bars join rows that Wilcoxon's signed-rank tests with Holm's "
        "correction cannot tell apart at 5 %; CD is Nemenyi's critical difference."
    )
    return Plot(f"ranks-{str(over.spec).replace(' ', '-').replace(',', '')}", caption, figure, families)


def save_ranks(board: Leaderboard, folder: Path) -> list[Path]:
    """Write the diagram of every setting that has ranks as PNG (300 dpi), SVG and PDF. Returns the files."""
    from harness.common.files import atomic_write
    from harness.reports.figures.plots import ENDINGS, rendered

    def write(plot: Plot, form: str, file: IO[bytes]) -> None:
        file.write(rendered(plot, form))

    written = []
    for over in board.over:
        if over.mean_ranks:
            plot = critical_difference_diagram(over)
            for ending in ENDINGS:
                path = folder / f"leaderboard-{plot.name}{ending}"
                atomic_write(path, partial(write, plot, ending[1:]))
                written.append(path)
    return written


def _groups(over: OverDatasets) -> list[tuple[float, float]]:
    """From which mean rank to which rows share a letter, for each letter that two rows have."""
    ranks: dict[str, list[float]] = {}
    for name, letters in over.letters.items():
        for letter in letters.replace("′", ""):
            ranks.setdefault(letter, []).append(over.mean_ranks[name])
    return [(min(of_letter), max(of_letter)) for of_letter in ranks.values() if len(of_letter) > 1]


def _axis(panel: Axes, n_rows: int, y: float) -> None:
    last = max(n_rows, 2)
    panel.plot((1, last), (y, y), lw=1, color=panel.xaxis.label.get_color(), clip_on=False)
    step = max(1, last // 10)
    for rank in range(1, last + 1, step):
        panel.plot((rank, rank), (y, y + 0.07), lw=1, color=panel.xaxis.label.get_color(), clip_on=False)
        panel.text(rank, y + 0.1, str(rank), ha="center", va="bottom", size=8, clip_on=False)


def _critical_difference(panel: Axes, over: OverDatasets) -> None:
    """Its length above the axis, as far as the axis is that long."""
    length = over.critical_difference or 0.0
    most = len(over.mean_ranks) - 1
    y, colour = -0.3, panel.xaxis.label.get_color()
    if length <= most:
        panel.plot((1, 1 + length), (y, y), lw=1, color=colour, marker="|", ms=6, clip_on=False)
    beyond = "" if length <= most else ", longer than the axis"
    panel.text(1, y + 0.06, f"CD {length:.2f}{beyond}", ha="left", va="bottom", size=8, clip_on=False)

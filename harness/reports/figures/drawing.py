"""The parts that figures are drawn from: the style, panels, whiskers, legends, axes. For figures/plots.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Row
    from harness.statistics.intervals import Interval

INK, PAPER = "#1a1a1a", "#ffffff"
GREY = "#8a8a8a"  # floors
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
INTERVALS = {  # name → (colour, marker, what it is about)
    "closed": (COLOURS[0], "o", "closed: this very test set"),
    "open": (COLOURS[1], "s", "open: new images of these classes"),
    "class": (COLOURS[2], "D", "class: new classes"),
}
PANEL = 2.7  # inches, width
ROW = 0.34  # inches, height
LETTER, HANDLE = 0.065, 0.6  # inches, width of a letter and of the sign before an entry of a legend


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure, and what it shows."""

    name: str  # of its file
    caption: str
    figure: Figure
    families: tuple[str, ...] = ("DejaVu Sans",)  # fonts for its names


def columns(n: int) -> int:
    """How many of ``n`` panels stand side by side, so that a page's width keeps them legible."""
    return n if n <= 3 else 2 if n == 4 else 3


def panels(
    rows: Sequence[Row], specs: Sequence[EpisodeSpec], row: float, right: float = 0
) -> tuple[Figure, list[Axes]]:
    """A panel a setting, a line a row from the top down, names on the left.

    Args:
        row: height of a line (inches).
        right: room beside each panel (inches).
    """
    from matplotlib.figure import Figure

    across = columns(len(specs))
    down = math.ceil(len(specs) / across)
    names = 0.3 + 0.075 * max(len(row.name) for row in rows)  # inches
    size = (names + across * (PANEL + right), 0.3 + down * (0.8 + row * len(rows)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    axes = list(grid.ravel())
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for first in grid[:, 0]:
        first.set_yticks(range(len(rows)), [row.name for row in rows])
        for tick, shown in zip(first.get_yticklabels(), rows, strict=True):
            if shown.floor:
                tick.set_color(GREY)
    for spec, panel in zip(specs, axes, strict=False):
        panel.set_title(str(spec))
        panel.grid(axis="x")
        panel.tick_params(axis="y", length=0)
        for y in range(1, len(rows)):
            panel.axhline(y - 0.5, lw=0.4, color=GREY, alpha=0.4)
    for panel in axes[len(specs) :]:
        panel.set_visible(False)
    return figure, axes[: len(specs)]


def whisker(
    panel: Axes, at: float, interval: Interval, colour: str, marker: str, hollow: bool = False, upright: bool = False
) -> None:
    """The mean, and the interval around it where there is one."""
    mean, half = 100 * interval.mean, 100 * interval.half_width
    x, y = (at, mean) if upright else (mean, at)
    if math.isfinite(half):
        line = ((x, x), (y - half, y + half)) if upright else ((x - half, x + half), (y, y))
        panel.plot(*line, color=colour, lw=1.4, solid_capstyle="butt", zorder=3)
    else:  # from edge to edge
        (panel.axvline if upright else panel.axhline)(at, color=colour, lw=1.0, ls=":", alpha=0.6, zorder=2)
    face = panel.figure.get_facecolor() if hollow else colour
    panel.plot(x, y, marker=marker, ms=4.5, mew=1.2, mec=colour, mfc=face, ls="", zorder=4)


def looks_of(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Row → colour and marker: a colour a method, a marker a stage; as far as they go, no two rows share both."""
    labels = list(dict.fromkeys(row.label for row in rows))
    looks: dict[str, tuple[str, str]] = {}
    for row in rows:
        colour = COLOURS[labels.index(row.label) % len(COLOURS)]
        free = [marker for marker in MARKERS if (colour, marker) not in looks.values()]
        looks[row.name] = (colour, (free or list(MARKERS))[0])
    return looks


def legend(figure: Figure, entries: Sequence[tuple[str, str, Any, str]], columns: int) -> None:
    """Below the panels, in up to ``columns``. Each entry: colour, marker, face of the marker, text."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=face, ms=4.5, mew=1.2, lw=1.4, label=text)
        for colour, marker, face, text in entries
    ]
    widest = max(len(text) for *_, text in entries) * LETTER + HANDLE
    fitting = int(figure.get_figwidth() / widest)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, min(columns, fitting)))


def log_axis(panel: Axes, values: Sequence[float], ticks: Mapping[float, str]) -> None:
    """A logarithmic axis around ``values`` with at most six of ``ticks``, round numbers and their words."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    low, high = min(values) / 1.6, max(values) * 1.6
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    inside = [tick for tick in ticks if low <= tick <= high]
    chosen = inside[:: math.ceil(len(inside) / 6) or 1]
    panel.xaxis.set_major_locator(FixedLocator(chosen))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FixedFormatter([ticks[tick] for tick in chosen]))


def whole_epochs(panel: Axes) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def count_ticks() -> dict[float, str]:
    """1, 2, 5, 10 … with ``k``, ``M`` and ``G`` for thousands, millions and milliards."""
    units = ((1, ""), (1e3, " k"), (1e6, " M"), (1e9, " G"))
    return {step * size: f"{step}{unit}" for size, unit in units for step in (1, 2, 5, 10, 20, 50, 100, 200, 500)}


def time_ticks() -> dict[float, str]:
    """Round times, by seconds: from 0.1 s to 50 days."""
    units = (
        (1, "s", (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)),
        (60, "min", (0.5, 1, 2, 5, 10, 20)),
        (3600, "h", (0.5, 1, 2, 5, 10)),
        (86400, "d", (1, 2, 5, 10, 20, 50)),
    )
    return {step * size: f"{step} {unit}" for size, unit, steps in units for step in steps}


@contextmanager
def style(
    ink: str = INK, paper: str = PAPER, text_as_text: bool = False, families: Sequence[str] = ("DejaVu Sans",)
) -> Iterator[None]:
    """Inside, what is drawn looks like this. Labels are plain text, whatever signs they hold.

    ``families``: fonts, of which each character takes the first that has it.
    """
    import matplotlib

    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "figure.facecolor": paper,
        "savefig.facecolor": "auto",
        "font.family": [*families, "sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.facecolor": "none",
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "grid.color": ink,
        "grid.alpha": 0.14,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.unicode_minus": True,
        "svg.fonttype": "none" if text_as_text else "path",
        "svg.hashsalt": "harness",
        "pdf.fonttype": 42,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that no font has becomes a box
        yield

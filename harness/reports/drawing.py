"""The parts that figures are drawn from: the style, panels, whiskers, legends, axes. For harness/reports/plots.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.types import EpisodeSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.reports.report import Row
    from harness.statistics import Interval

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


def panels(rows: Sequence[Row], specs: Sequence[EpisodeSpec], row: float, right: float = 0) -> tuple[Figure, Any]:
    """A panel a setting side by side, a line a row from the top down, names on the left."""
    from matplotlib.figure import Figure

    label = 0.3 + 0.075 * max(len(row.name) for row in rows)  # inches
    width = label + len(specs) * (PANEL + right)
    figure = Figure(figsize=(width, 1.1 + row * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(specs), sharey=True, squeeze=False)[0]
    axes[0].set_yticks(range(len(rows)), [row.name for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for tick, shown in zip(axes[0].get_yticklabels(), rows, strict=True):
        if shown.floor:
            tick.set_color(GREY)
    for spec, panel in zip(specs, axes, strict=True):
        panel.set_title(str(spec))
        panel.grid(axis="x")
        panel.tick_params(axis="y", length=0)
        for y in range(1, len(rows)):
            panel.axhline(y - 0.5, lw=0.4, color=GREY, alpha=0.4)
    return figure, axes


def whisker(
    panel: Axes, at: float, found: Interval, colour: str, marker: str, hollow: bool = False, upright: bool = False
) -> None:
    """The mean, and the interval around it where there is one."""
    mean, half = 100 * found.mean, 100 * found.half_width
    x, y = (at, mean) if upright else (mean, at)
    if math.isfinite(half):
        line = ((x, x), (y - half, y + half)) if upright else ((x - half, x + half), (y, y))
        panel.plot(*line, color=colour, lw=1.4, solid_capstyle="butt", zorder=3)
    face = panel.figure.get_facecolor() if hollow else colour
    panel.plot(x, y, marker=marker, ms=4.5, mew=1.2, mec=colour, mfc=face, ls="", zorder=4)


def looks_of(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Row → colour and marker: a colour a method, a marker a stage; no two rows share both as far as they go."""
    labels = list(dict.fromkeys(row.label for row in rows))
    stages: dict[str, int] = {}
    looks = {}
    for row in rows:
        number = labels.index(row.label)
        stage = stages[row.label] = stages.get(row.label, -1) + 1
        marker = MARKERS[(stage + number // len(COLOURS)) % len(MARKERS)]
        looks[row.name] = (COLOURS[number % len(COLOURS)], marker)
    return looks


def legend(figure: Figure, entries: Sequence[tuple[str, str, Any, str]], columns: int) -> None:
    """Below the panels. Each entry: colour, marker, face of the marker, text."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, mfc=face, ms=4.5, mew=1.2, lw=1.4, label=text)
        for colour, marker, face, text in entries
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def log_axis(panel: Axes, values: Sequence[float], tick: Callable[[float], str]) -> None:
    """A logarithmic axis with a few ticks in words, however near or far the values lie."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values) / 1.6, max(values) * 1.6
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 100 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    panel.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def whole_epochs(panel: Axes) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def count(value: float) -> str:
    """``5 k``, ``2 M``."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


@contextmanager
def style(ink: str = INK, paper: str = PAPER, text_as_text: bool = False) -> Iterator[None]:
    """Inside, what is drawn looks like this. Labels are plain text, whatever signs they hold."""
    import matplotlib

    settings: dict[Any, Any] = {
        "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
        "legend.fontsize": 8, "legend.frameon": False, "figure.facecolor": paper, "savefig.facecolor": "auto",
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "sans-serif"],
        "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.facecolor": "none",
        "axes.edgecolor": ink, "axes.labelcolor": ink, "text.color": ink, "xtick.color": ink, "ytick.color": ink,
        "grid.color": ink, "grid.alpha": 0.14, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "text.parse_math": False, "text.usetex": False, "axes.unicode_minus": True,
        "svg.fonttype": "none" if text_as_text else "path", "svg.hashsalt": "harness", "pdf.fonttype": 42,
    }  # fmt: skip
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sign that the font lacks becomes a box
        yield

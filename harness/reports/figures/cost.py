"""The figure of what accuracy cost: images seen and training time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.reports.figures.drawing import (
    GREY,
    Plot,
    columns,
    count_ticks,
    legend,
    log_axis,
    looks_of,
    time_ticks,
    whisker,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Row, Table

COSTS = (("images seen", "images_seen", count_ticks), ("training time", "fit_seconds", time_ticks))


def cost(table: Table) -> Plot | None:
    """Accuracy against images seen and training time, a line through the stages of a method."""
    from matplotlib.figure import Figure

    trained = [row for row in table.rows if row.cells and row.fit_seconds > 0 and not row.floor]
    free = [row for row in table.rows if row.cells and row not in trained]
    if not trained:
        return None
    across = columns(len(table.specs))
    down = math.ceil(len(table.specs) / across)
    size = (0.6 + 3.1 * across, 5.2 * down + 0.2 + 0.2 * math.ceil(len(trained) / 4))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2 * down, across, squeeze=False)
    looks = looks_of(trained)
    for panel in grid.ravel()[across * 2 * (down - 1) :]:
        panel.set_visible(False)  # until a setting takes it
    for i, spec in enumerate(table.specs):
        pair = grid[2 * (i // across) : 2 * (i // across) + 2, i % across]
        pair[0].set_title(str(spec))
        pair[1].sharey(pair[0])
        for panel, (label, attribute, ticks) in zip(pair, COSTS, strict=True):
            panel.set_visible(True)
            known = [row for row in trained if getattr(row, attribute)]
            _free_lines(panel, [row for row in free if spec in row.cells], spec)
            _cost_points(panel, [row for row in known if spec in row.cells], spec, attribute, looks)
            if known:
                log_axis(panel, [getattr(row, attribute) for row in known], ticks())
            else:
                panel.set_xticks([])
                panel.text(0.5, 0.5, "unknown", transform=panel.transAxes, ha="center", size=8)
            panel.set_xlabel(label)
            panel.grid(axis="both")
    for panel in grid[:, 0]:
        panel.set_ylabel("accuracy (%)")
    legend(figure, [(*looks[row.name], looks[row.name][0], row.name) for row in trained], columns=min(4, len(trained)))
    caption = (
        "Accuracy (closed 95 % interval) against what it cost, the stages that a row was trained from included. A line "
        "joins the stages of a method; equal costs stand side by side; what trains nothing is dashed, floors in grey."
    )
    if any(row.images_seen is None for row in trained):
        caption += " A row without a point has a cost that is unknown."
    return Plot("cost", caption, figure)


def _free_lines(panel: Axes, rows: Sequence[Row], spec: EpisodeSpec) -> None:
    """A line for each row that cost no training: it has no place on a logarithmic axis."""
    for i, row in enumerate(rows):
        colour = GREY if row.floor else panel.xaxis.label.get_color()
        mean = 100 * row.cells[spec].intervals["closed"].mean
        side, align = ((1, "right"), (0.01, "left"))[i % 2]  # two that are near must not cover each other
        panel.axhline(mean, color=colour, lw=1, ls=(0, (4, 3)))
        panel.annotate(
            row.name,
            (side, mean),
            (0, 2),
            xycoords=panel.get_yaxis_transform(),
            textcoords="offset points",
            ha=align,
            size=8,
            color=colour,
        )


def _cost_points(
    panel: Axes, rows: Sequence[Row], spec: EpisodeSpec, attribute: str, looks: Mapping[str, tuple[str, str]]
) -> None:
    places = dict(
        zip((row.name for row in rows), _side_by_side([getattr(row, attribute) for row in rows]), strict=True)
    )
    for label in dict.fromkeys(row.label for row in rows):
        chain = [row for row in rows if row.label == label]
        xs = [places[row.name] for row in chain]
        means = [100 * row.cells[spec].intervals["closed"].mean for row in chain]
        panel.plot(xs, means, color=looks[chain[0].name][0], lw=0.8, alpha=0.6)
        for x, row in zip(xs, chain, strict=True):
            whisker(panel, x, row.cells[spec].intervals["closed"], *looks[row.name], upright=True)


def _side_by_side(values: Sequence[float]) -> list[float]:
    """``values`` with equal ones moved apart by 2 % each, so that on a logarithmic axis no whisker hides another."""
    places: list[float] = []
    for value in values:
        place = value
        while any(abs(place / taken - 1) < 0.015 for taken in places):
            place *= 1.02
        places.append(place)
    return places

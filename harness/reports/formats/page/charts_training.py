"""Figures of trainings: what accuracy cost, losses and validation accuracy by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.reports.figures.plots import losses
from harness.reports.formats.page.charts import FLOOR, Chart, Figure, base, bounds, chart
from harness.reports.formats.page.tables import ranked

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Row, Table

MOST_POINTS = 200  # of a curve
COSTS = (("minutes", "training time (minutes)", 60.0), ("images", "images seen", 1.0))
ATTRIBUTES = {"minutes": "fit_seconds", "images": "images_seen"}


def cost(table: Table) -> Figure | None:
    """Accuracy against minutes and images, with the rows that none beats in both."""
    trained = [row for row in ranked(table) if row.cells and row.fit_seconds > 0 and not row.floor]
    free = [row for row in table.rows if row.cells and row not in trained and not row.floor]
    charts = []
    for spec in table.specs:
        for name, axis, unit in COSTS:
            points = [
                {
                    "row": row.name,
                    "cost": round((getattr(row, ATTRIBUTES[name]) or 0) / unit, 4),
                    **bounds(row.cells[spec].intervals["closed"], 0, 100),
                }
                for row in trained
                if getattr(row, ATTRIBUTES[name]) and spec in row.cells
            ]
            if points:
                charts.append(_cost(spec, axis, points, free))
    if not charts:
        return None
    caption = (
        "Accuracy (closed 95 % interval) against what it cost, on a logarithmic axis, the stages that a row was "
        "trained from included. The line is the Pareto front: no row reaches more for less. Dashed: rows "
        "that train nothing; floors are in the table alone."
    )
    if any(row.images_seen is None for row in trained):
        caption += " A row without a point has a cost that is unknown."
    return Figure("cost", "Accuracy against cost", caption, charts)


def pareto(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The points that no other beats: none has a higher mean at the same cost or less. By cost."""
    front: list[Mapping[str, Any]] = []
    for point in sorted(points, key=lambda point: (point["cost"], -point["mean"])):
        if not front or point["mean"] > front[-1]["mean"]:
            front.append(point)
    return front


def _cost(spec: EpisodeSpec, axis: str, points: list[dict[str, Any]], free: Sequence[Row]) -> Chart:
    import altair as alt

    front = [point["row"] for point in pareto(points)]
    values = [
        *({**point, "front": point["row"] in front, "free": False} for point in points),
        *(
            {"row": row.name, "cost": None, "front": False, "free": True, **bounds(row.cells[spec].intervals["closed"])}
            for row in free
            if spec in row.cells
        ),
    ]
    costs = [point["cost"] for point in points]
    x = alt.X(
        "cost:Q",
        title=axis,
        scale=alt.Scale(type="log", domain=[min(costs) / 1.4, max(costs) * 1.4], nice=False),
        axis=alt.Axis(format="~s" if "images" in axis else "~g", tickCount=6, labelOverlap=True),
    )
    scale = alt.Scale(domain=[point["row"] for point in points])
    legend = alt.Legend(title=None)
    points_only = base().transform_filter("!datum.free")
    whisker = points_only.mark_rule(strokeWidth=1.4, clip=True).encode(
        x=x,
        y=alt.Y("low:Q", title="accuracy (%)", scale=alt.Scale(zero=False)),
        y2=alt.Y2("high:Q"),
        color=alt.Color("row:N", scale=scale, legend=legend),
    )
    line = (
        base()
        .transform_filter("datum.front")
        .mark_line(interpolate="step-after", strokeWidth=1, color=FLOOR, clip=True)
    )
    line = line.encode(x=x, y=alt.Y("mean:Q", title="accuracy (%)"))
    dot = points_only.mark_point(filled=True, size=70, opacity=1, clip=True).encode(
        x=x,
        y=alt.Y("mean:Q", title="accuracy (%)"),
        color=alt.Color("row:N", scale=scale, legend=legend),
        shape=alt.Shape("row:N", scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("row:N", title="row"),
            alt.Tooltip("text:N", title="accuracy (%)"),
            alt.Tooltip("cost:Q", title=axis, format=",.4~g"),
        ],
    )
    nothing = base().transform_filter("datum.free")
    dashed = nothing.mark_rule(strokeDash=[4, 3], color=FLOOR, clip=True).encode(
        y=alt.Y("mean:Q"), tooltip=[alt.Tooltip("row:N"), alt.Tooltip("text:N")]
    )
    name = nothing.mark_text(align="left", dx=3, dy=-7, clip=True).encode(
        x=alt.XValue(0), y=alt.Y("mean:Q"), text=alt.Text("row:N")
    )
    about = f"{spec}, accuracy against {axis}: on the Pareto front are {', '.join(front)}."
    numbers = {"row": "row", "cost": axis, "text": "accuracy (%)"}
    drawn = chart(whisker, line, dashed, name, dot, height=300)
    return Chart(f"{spec} by {axis}", drawn, values, about, numbers, ("x", "y"))


def learning(table: Table) -> Figure | None:
    """Training losses by epoch, a panel a row: losses of different methods share no scale."""
    rows = [row for row in table.rows if losses(row)]
    names = tuple(dict.fromkeys(name for row in rows for name in losses(row)))  # the same colour in each panel
    if not rows:
        return None
    charts = []
    for row in rows:
        values: list[dict[str, Any]] = [
            {"epoch": epoch, "value": float(f"{line[name]:.5g}"), "curve": name, "seed": f"{seed}"}
            for seed, history in zip(row.seeds, row.history, strict=False)
            for name in losses(row)
            for epoch, line in _thinned(history)
            if name in line and math.isfinite(line[name])
        ]
        if not values:
            continue
        last = max(value["epoch"] for value in values)
        spec = _curve("loss", names, tuple(losses(row)), last, zero=True)
        ends = [f"{value['curve']} {value['value']:g}" for value in values if value["epoch"] == last]
        about = f"{row.name}: after {last} epochs {', '.join(ends[:6])}."
        charts.append(Chart(row.name, spec, values, about, NUMBERS, ("x", "y")))
    caption = "Training losses by epoch, a line a seed and loss; scales differ between panels."
    return Figure("learning", "Learning curves", caption, charts, small=True)


NUMBERS = {"epoch": "epoch", "curve": "curve", "seed": "seed", "value": "value"}


def validation(table: Table) -> Figure | None:
    """Accuracy on validation episodes by epoch, for the rows that select their weights on it."""
    values: list[dict[str, Any]] = [
        {"epoch": epoch, "value": round(100 * line["val_accuracy"], 3), "curve": row.name, "seed": f"{seed}"}
        for row in table.rows
        for seed, history in zip(row.seeds, row.history, strict=False)
        for epoch, line in _thinned(history)
        if "val_accuracy" in line and math.isfinite(line["val_accuracy"])
    ]
    if not values:
        return None
    names, last = tuple(dict.fromkeys(value["curve"] for value in values)), max(value["epoch"] for value in values)
    best = {name: max(value["value"] for value in values if value["curve"] == name) for name in names}
    about = "Highest validation accuracy: " + ", ".join(f"{name} {value:.2f} percent" for name, value in best.items())
    spec = _curve("validation accuracy (%)", names, names, last, zero=False)
    panel = Chart("Validation accuracy", spec, values, about + ".", NUMBERS, ("x", "y"))
    return Figure("validation", "Validation accuracy", "Accuracy on validation episodes by epoch.", [panel])


@lru_cache(maxsize=32)  # most panels of a figure have the same
def _curve(axis: str, names: tuple[str, ...], shown: tuple[str, ...], last: int, zero: bool) -> dict[str, Any]:
    """The spec of curves by epoch. ``names``: of all panels, whose order gives colours; ``shown``: of this one."""
    import altair as alt

    step = next(size * unit for unit in (1, 10, 100, 1000, 10**9) for size in (1, 2, 5) if last / (size * unit) <= 6)
    legend = alt.Legend(title=None, values=list(shown)) if len(shown) > 1 else None
    colour = alt.Color("curve:N", scale=alt.Scale(domain=list(names)), legend=legend)
    epochs = alt.Axis(values=sorted({1, *range(step, last + 1, step)}), format="d")
    line = base().mark_line(strokeWidth=1.5, clip=True, point={"size": 22})
    line = line.encode(
        x=alt.X("epoch:Q", title="epoch", axis=epochs, scale=alt.Scale(zero=False, nice=False)),
        y=alt.Y("value:Q", title=axis, scale=alt.Scale(zero=zero)),
        color=colour,
        detail=alt.Detail("seed:N"),
        tooltip=[
            alt.Tooltip("curve:N", title="curve"),
            alt.Tooltip("seed:N", title="seed"),
            alt.Tooltip("epoch:Q", title="epoch"),
            alt.Tooltip("value:Q", title="value", format=".4~g"),
        ],
    )
    return chart(line, height=180)


def _thinned(history: Sequence[Mapping[str, float]]) -> list[tuple[int, Mapping[str, float]]]:
    """Epochs with what was noted of them; of long histories every second, third … and the last."""
    step = math.ceil(len(history) / MOST_POINTS)
    epochs = list(enumerate(history, 1))
    return epochs if step == 1 or not epochs else [*epochs[:-1:step], epochs[-1]]

"""Figures of accuracies: the answer, the intervals of each row, differences from the baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.reports.answer import Lead, listed
from harness.reports.figures.drawing import INTERVALS
from harness.reports.formats.page.charts import FLOOR, STEP, Chart, Figure, base, bounds, chart, names_axis, span
from harness.reports.formats.page.tables import ranked
from harness.reports.words import SIGNIFICANT, p_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.reports.model import Row, Table

MOST_BEHIND = 8  # rows beside the answer
TICKS = {"tickCount": 6, "labelOverlap": True}
# A circle with a hole in it, as an SVG path: hollow in the legend, too, which knows no opacity of fills.
RING = "M-1,0A1,1,0,1,1,1,0A1,1,0,1,1,-1,0ZM-.6,0A.6,.6,0,1,0,.6,0A.6,.6,0,1,0,-.6,0Z"
APART, EQUAL = "told apart (p < 0.05)", "cannot be told apart"


def answer(found: Sequence[Lead]) -> Figure | None:
    """How far the nearest rows are behind the highest."""
    if not found:
        return None
    charts = []
    for lead in found:
        shown = lead.behind[:MOST_BEHIND]
        values = [
            {
                "row": row.name,
                **_turned(bounds(row.difference)),
                "verdict": APART if row.apart else EQUAL,
                "p": p_value(row.p),
            }
            for row in shown
        ]
        equal = listed([row.name for row in lead.equal]) if lead.equal else "no other row"
        about = f"{lead.spec}: {lead.highest} is highest; it cannot be told apart from {equal}."
        title = f"{lead.spec}: points from {lead.highest}"
        charts.append(_differences(title, values, [row.name for row in shown], f"points from {lead.highest}", about))
    left_out = max(len(lead.behind) for lead in found) - MOST_BEHIND
    caption = (
        "Each row minus the highest row (the line at 0), paired by episode, with the 95 % interval. Hollow: the two "
        "cannot be told apart." + (f" The {left_out} rows furthest behind are left out." if left_out > 0 else "")
    )
    return Figure("answer", "How far the others are behind", caption, charts)


def _turned(ends: dict[str, Any]) -> dict[str, Any]:
    """Of a difference, the same with the other sign."""
    low, high = ends["high"], ends["low"]
    return {
        "mean": -ends["mean"],
        "low": None if low is None else -low,
        "high": None if high is None else -high,
        "text": f"{-ends['mean']:+.2f} ±{ends['text'].partition('±')[2]}",
    }


def _differences(
    title: str,
    values: list[dict[str, Any]],
    names: list[str],
    axis: str,
    about: str,
    margin: float | None = None,
) -> Chart:
    import altair as alt

    y = names_axis(names)
    x = alt.Scale(domain=span(values, 0.0, *((-margin, margin) if margin else ())), nice=False)
    verdicts = [APART, EQUAL]
    colour = {"scale": alt.Scale(domain=verdicts), "legend": alt.Legend(title=None)}
    whisker = base().mark_rule(strokeWidth=1.6, clip=True)
    whisker = whisker.encode(
        x=alt.X("low:Q", scale=x, title=axis, axis=TICKS),
        x2=alt.X2("high:Q"),
        y=y,
        color=alt.Color("verdict:N", **colour),
    )
    dot = base().mark_point(filled=True, size=80, opacity=1, clip=True)
    dot = dot.encode(
        x=alt.X("mean:Q", scale=x, title=axis, axis=TICKS),
        y=y,
        color=alt.Color("verdict:N", **colour),
        shape=alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=["circle", RING]), legend=colour["legend"]),
        tooltip=[
            alt.Tooltip("row:N", title="row"),
            alt.Tooltip("text:N", title="points"),
            alt.Tooltip("p:N", title="p"),
            alt.Tooltip("verdict:N", title="verdict"),
        ],
    )
    zero = base().mark_rule(strokeWidth=1).encode(x=alt.XDatum(0))
    layers = [whisker, zero, dot]
    if margin:
        band = base().mark_rect(color=FLOOR, opacity=0.03, clip=True)
        layers.insert(1, band.encode(x=alt.XDatum(-margin), x2=alt.X2Datum(margin)))
    return Chart(
        title,
        chart(*layers, height=STEP * len(names)),
        values,
        about,
        {"row": "row", "text": "points", "p": "p", "verdict": "verdict"},
    )


def accuracies(table: Table) -> Figure | None:
    """A dot for each row and interval, a panel a setting, the highest rows first."""
    rows = [row for row in ranked(table) if row.cells]
    shown = [row for row in rows if not row.floor] or rows
    if not rows:
        return None
    charts = []
    for spec in table.specs:
        values = [
            {"row": row.name, "interval": name, **bounds(row.cells[spec].intervals[name], 0, 100)}
            for row in shown
            if spec in row.cells
            for name in INTERVALS
            if name in row.cells[spec].intervals
        ]
        closed = [value for value in values if value["interval"] == "closed"]
        highest = max(closed, key=lambda value: value["mean"])
        about = (
            f"{spec}: accuracies of {len(closed)} rows, from {min(value['mean'] for value in closed):.2f} to "
            f"{highest['mean']:.2f} percent; highest is {highest['row']}. Chance is {100 * spec.chance:.1f} percent."
        )
        spec_of = _accuracies(values, [row.name for row in shown if spec in row.cells], 100 * spec.chance)
        numbers = {"row": "row", "interval": "interval", "text": "accuracy (%)"}
        charts.append(Chart(str(spec), spec_of, values, about, numbers))
    caption = (
        "Accuracy of each row with 95 % intervals for three questions: closed, this very test set; open, new images of "
        "these classes; class, new classes."
    )
    if left_out := [row.name for row in rows if row not in shown]:
        caption += f" Floors would press all else together and are in the table alone: {', '.join(left_out)}."
    return Figure("accuracies", "Accuracy with its three intervals", caption, charts)


def _accuracies(values: list[dict[str, Any]], names: list[str], chance: float) -> dict[str, Any]:
    import altair as alt

    order = list(INTERVALS)
    y, offset = names_axis(names), alt.YOffset("interval:N", sort=order, scale=alt.Scale(paddingOuter=0.25))
    ends = span(values)
    near = ends[0] - chance < (ends[1] - ends[0]) / 3  # else it would take most of the axis
    x = alt.Scale(domain=span(values, chance) if near else ends, nice=False, zero=False)
    legend = alt.Legend(title=None)
    colour = alt.Color("interval:N", scale=alt.Scale(domain=order), legend=legend)
    whisker = base().mark_rule(strokeWidth=1.6, clip=True)
    whisker = whisker.encode(
        x=alt.X("low:Q", scale=x, title="accuracy (%)"), x2=alt.X2("high:Q"), y=y, yOffset=offset, color=colour
    )
    dot = base().mark_point(filled=True, size=46, opacity=1, clip=True)
    dot = dot.encode(
        x=alt.X("mean:Q", scale=x, title="accuracy (%)"),
        y=y,
        yOffset=offset,
        color=colour,
        shape=alt.Shape("interval:N", scale=alt.Scale(domain=order), legend=legend),
        tooltip=[
            alt.Tooltip("row:N", title="row"),
            alt.Tooltip("interval:N", title="interval"),
            alt.Tooltip("text:N", title="accuracy (%)"),
        ],
    )
    line = base().mark_rule(strokeDash=[4, 3], color=FLOOR, clip=True).encode(x=alt.XDatum(chance))
    layers = [whisker, line, dot] if near else [whisker, dot]
    return chart(*layers, height=34 * len(names))


def differences(table: Table) -> Figure | None:
    """Each row minus the baseline, without floors, which would press all else onto the line at 0."""
    rows = [row for row in ranked(table) if any(cell.compared for cell in row.cells.values())]
    shown = [row for row in rows if not row.floor] or rows
    if not rows:
        return None
    charts = []
    for spec in table.specs:
        values = [_difference(row, spec) for row in shown if spec in row.cells and row.cells[spec].compared]
        if not values:
            continue
        apart = [value["row"] for value in values if value["verdict"] == APART]
        told = listed(apart) if apart else "none"
        about = f"{spec}: {len(values)} rows minus {table.baseline}; told apart from it: {told}."
        names = [value["row"] for value in sorted(values, key=lambda value: -value["mean"])]
        axis = f"difference from {table.baseline} (points)"
        charts.append(_differences(str(spec), values, names, axis, about, table.equivalent))
    left_out = [row.name for row in rows if row not in shown]
    caption = (
        f"Each row minus {table.baseline}, paired on open episodes, with 95 % intervals. Hollow: p ≥ 0.05 after Holm's "
        "adjustment for all tests of the table (the intervals are not adjusted)."
    )
    if table.equivalent:
        caption += f" Grey band: ± {table.equivalent:g} points, practically equal."
    if left_out:
        caption += f" Floors are in the table alone: {', '.join(left_out)}."
    return Figure("differences", "", caption, charts) if charts else None


def _difference(row: Row, spec: Any) -> dict[str, Any]:
    compared = row.cells[spec].compared
    assert compared is not None
    p, ends = compared.holm_t_p, bounds(compared.found.difference)
    told = p is not None and p < SIGNIFICANT and math.isfinite(compared.found.difference.half_width)
    sign = "+" if ends["mean"] >= 0 else ""
    return {"row": row.name, **ends, "text": sign + ends["text"], "verdict": APART if told else EQUAL, "p": p_value(p)}

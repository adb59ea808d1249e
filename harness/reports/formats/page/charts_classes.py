"""Figures of novel classes: how well each is recognised, and which are taken for each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.reports.failures import LEAST_EPISODES, confused_pairs
from harness.reports.formats.page.charts import LABEL, STEP, Chart, Figure, base, chart
from harness.reports.formats.page.tables import Cell, Column, Grid, Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.reports.model import Setting
    from harness.reports.predictions import TablePredictions

MOST_ROWS = 12  # whose predictions are read and shown: the highest
MOST_DOTS = 6  # rows that are drawn as dots
MOST_CLASSES = 20  # of a figure: the hardest
MOST_CONFUSED = 14  # classes of a matrix
MOST_PAIRS = 4  # of a row in the table


def closed_settings(kept: TablePredictions, rows: Sequence[str]) -> Iterator[tuple[Setting, list[str]]]:
    """The settings on closed episodes of which predictions are kept, with the rows that have them.

    Args:
        rows: the highest first; the first ``MOST_ROWS`` are looked at.
    """
    for setting in kept.settings:
        if setting[1] != "closed":
            continue
        shown = [row for row in rows[:MOST_ROWS] if kept.predicted(row, setting) is not None]
        if shown:
            yield setting, shown


def by_class(kept: TablePredictions, rows: Sequence[str]) -> Figure | None:
    """The accuracy of each row in the classes that all of them find hardest."""
    charts = []
    for setting, shown in closed_settings(kept, rows):
        of_rows = [kept.class_accuracies(row, setting) for row in shown]
        accuracies = 100 * np.stack([found.accuracies for found in of_rows if found is not None])  # (rows, C)
        widths = 100 * np.stack([found.half_widths for found in of_rows if found is not None])
        order = np.argsort(accuracies.mean(axis=0), kind="stable").tolist()  # NaN, of no query, last
        order = [i for i in order if not np.isnan(accuracies[:, i]).any()][:MOST_CLASSES]
        values = [
            {
                "class": kept.class_names[i],
                "row": row,
                "accuracy": round(float(accuracies[r, i]), 2),
                "text": f"{accuracies[r, i]:.1f}" + (f" ± {widths[r, i]:.1f}" if np.isfinite(widths[r, i]) else ""),
            }
            for i in order
            for r, row in enumerate(shown)
        ]
        hardest = kept.class_names[order[0]]
        about = f"{setting[0]}: the {len(order)} classes with the lowest accuracies, the hardest is {hardest}."
        names = {"class": "class", "row": "row", "text": "accuracy (%)"}
        draw = _dots if len(shown) <= MOST_DOTS else _tiles
        spec = draw([kept.class_names[i] for i in order], shown)
        zoom = ("x",) if draw is _dots else ()
        charts.append(Chart(str(setting[0]), spec, values, about, names, zoom))
    caption = (
        f"Accuracy in each novel class, on closed episodes, over all seeds: the {MOST_CLASSES} classes that are "
        "hardest for all rows together." + (f" Of the {MOST_ROWS} highest rows." if len(rows) > MOST_ROWS else "")
    )
    return Figure("classes", "Accuracy by class", caption, charts) if charts else None


def _tiles(classes: Sequence[str], rows: Sequence[str]) -> dict[str, Any]:
    """A column a row, from the highest on: dots of many rows lie over each other."""
    import altair as alt

    axis = {"labelLimit": LABEL, "labelPadding": 6, "domain": False, "ticks": False, "grid": False, "title": None}
    tile = base().mark_rect()
    tile = tile.encode(
        x=alt.X("row:N", sort=list(rows), axis=alt.Axis(labelAngle=-45, **axis)),
        y=alt.Y("class:N", sort=list(classes), axis=alt.Axis(**axis)),
        color=alt.Color("accuracy:Q", scale=alt.Scale(scheme="viridis", zero=False), legend=alt.Legend(title="%")),
        tooltip=[alt.Tooltip("class:N"), alt.Tooltip("row:N"), alt.Tooltip("text:N", title="accuracy (%)")],
    )
    return chart(tile, height=STEP * len(classes))


def _dots(classes: Sequence[str], rows: Sequence[str]) -> dict[str, Any]:
    import altair as alt

    axis = alt.Axis(title=None, labelLimit=LABEL, labelPadding=6, domain=False, ticks=False, grid=True)
    scale, legend = alt.Scale(domain=list(rows)), alt.Legend(title=None)
    dot = base().mark_point(filled=True, size=50, opacity=0.85, clip=True)
    dot = dot.encode(
        x=alt.X("accuracy:Q", title="accuracy (%)", scale=alt.Scale(zero=False, padding=8)),
        y=alt.Y("class:N", sort=list(classes), axis=axis),
        color=alt.Color("row:N", scale=scale, legend=legend),
        shape=alt.Shape("row:N", scale=scale, legend=legend),
        tooltip=[alt.Tooltip("class:N"), alt.Tooltip("row:N"), alt.Tooltip("text:N", title="accuracy (%)")],
    )
    return chart(dot, height=STEP * len(classes))


def confusion(kept: TablePredictions, row: str) -> Figure | None:
    """Which classes a row takes for each other, of those that met often enough to say so."""
    charts = []
    for setting, _ in closed_settings(kept, [row]):
        found = kept.confusion(row, setting)
        assert found is not None
        names, rates = kept.class_names, found.rates
        if not (pairs := confused_pairs(found, names, rates.size)):
            continue
        most = dict.fromkeys(name for pair in pairs for name in (pair.true, pair.taken_for))
        chosen = [names.index(name) for name in list(most)[:MOST_CONFUSED]]
        values = [
            {"true": names[i], "taken": names[j], "share": round(100 * float(rates[i, j]), 2)}
            for i in chosen
            for j in chosen
            if not np.isnan(rates[i, j])
        ]
        about = (
            f"{setting[0]}: {row} most often takes {pairs[0].true} for {pairs[0].taken_for}, "
            f"{100 * pairs[0].rate:.0f} percent of the queries that it could."
        )
        heads = {"true": "class", "taken": "taken for", "share": "share (%)"}
        charts.append(Chart(str(setting[0]), _confusion([names[i] for i in chosen]), values, about, heads, ()))
    caption = (
        f"Of the queries of a class in episodes with another, the share that {row} takes for it, over all seeds: the "
        f"{MOST_CONFUSED} classes that are confused most. On the diagonal: the share that is right."
    )
    return Figure("confusion", f"Classes that {row} confuses", caption, charts) if charts else None


def _confusion(classes: Sequence[str]) -> dict[str, Any]:
    import altair as alt

    axis = {"labelLimit": LABEL, "labelPadding": 6, "domain": False, "ticks": False, "grid": False}
    cell = base().mark_rect()
    cell = cell.encode(
        x=alt.X("taken:N", sort=list(classes), axis=alt.Axis(title="taken for", labelAngle=-45, **axis)),
        y=alt.Y("true:N", sort=list(classes), axis=alt.Axis(title="class", **axis)),
        color=alt.Color("share:Q", scale=alt.Scale(scheme="viridis", domain=[0, 100]), legend=alt.Legend(title="%")),
        tooltip=[
            alt.Tooltip("true:N", title="class"),
            alt.Tooltip("taken:N", title="taken for"),
            alt.Tooltip("share:Q", title="share (%)"),
        ],
    )
    return chart(cell, height=STEP * len(classes))


def pairs(kept: TablePredictions, rows: Sequence[str]) -> Grid | None:
    """The pairs of classes that each row confuses most."""
    lines = []
    for setting, shown in closed_settings(kept, rows):
        for row in shown:
            found = kept.confusion(row, setting)
            assert found is not None
            for pair in confused_pairs(found, kept.class_names, MOST_PAIRS):
                share = Cell(f"{100 * pair.rate:.1f}", f"{pair.rate:.6f}")
                episodes = Cell(f"{pair.episodes:,}", f"{pair.episodes}")
                texts = (row, str(setting[0]), pair.true, pair.taken_for)
                lines.append(Line([*map(Cell, texts), share, episodes]))
    columns = [
        *(Column(name, number=False) for name in ("method", "setting", "class", "taken for")),
        Column("share (%)"),
        Column("episodes with both"),
    ]
    notes = [("", f"Pairs that met in {LEAST_EPISODES} closed episodes or more.")]
    return Grid("pairs", "Classes that are confused most", columns, lines, notes) if lines else None

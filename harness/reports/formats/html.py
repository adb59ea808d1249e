"""Reports as one html page that is complete: its figures are drawn by scripts that stand in it, and it loads nothing.

Labels, errors and dataset names come from command lines and plugins, so all of them are escaped. Its parts: page/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.common.version import __version__
from harness.reports.answer import about, contestants, leads, sentences
from harness.reports.failures import LEAST_EPISODES
from harness.reports.figures.drawing import INTERVALS
from harness.reports.formats.conditions import conditions
from harness.reports.formats.differences import about_differences
from harness.reports.formats.markdown import ABOUT_PUBLISHED, mark_notes, published_rows, title
from harness.reports.formats.page import (
    charts,
    charts_accuracy,
    charts_classes,
    charts_map,
    charts_training,
    episodes,
    pictures,
    scripts,
    tables,
)
from harness.reports.formats.page.command import bench_command, report_command
from harness.statistics.intervals import LEAST_SEEDS

if TYPE_CHECKING:
    from harness.reports.formats.page.charts import Figure
    from harness.reports.model import Report, Table

NO_PREDICTIONS = "this run folder keeps no predictions: harness evaluate RUNS adds them."
NO_FEATURES = "this run folder keeps no features of the highest rows: harness evaluate RUNS adds them."
OWN_NAMES = re.compile(  # what every JavaScript object has: Vega keeps values in objects, by name, and trips over these
    r'"(__(?:proto|define[GS]etter|lookup[GS]etter)__|constructor|hasOwnProperty|isPrototypeOf|propertyIsEnumerable'
    r'|to(?:Locale)?String|valueOf)"'
)
FEW_EPISODES = f"no two classes met in {LEAST_EPISODES} closed episodes or more."


def html(report: Report) -> str:
    """The page.

    Raises:
        HarnessError: jinja2, altair or vl-convert is not installed.
    """
    try:
        import altair  # noqa: F401
        import jinja2
        from markupsafe import Markup
    except ImportError as error:
        raise scripts.missing(error.name or "jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: scripts.read("templates", name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = _Data()
    share = pictures.MOST_BYTES // max(1, len(report.tables))
    with charts.unchecked():
        sections = [_section(table, f"t{i}", data, share) for i, table in enumerate(report.tables)]
    vega, script, style = scripts.vega(), scripts.own_script(), scripts.style()
    names = list(dict.fromkeys(section["title"] for section in sections))
    return environment.get_template("page.html").render(
        title=f"{', '.join(names)} · few-shot comparison",
        heading=f"{len(sections)} tables",
        version=__version__,
        made=_made(report),
        sections=sections,
        failures=report.failures,
        policy=scripts.policy([vega, script], [style]),
        data=Markup(data.as_json()),
        **{name: Markup(text) for name, text in (("vega", vega), ("script", script), ("style", style))},
    )


class _Data:
    """What scripts of the page draw: the specs, each once, and the charts with their values."""

    def __init__(self) -> None:
        self._specs: dict[str, int] = {}
        self._charts: dict[str, Any] = {}
        self.episodes: dict[str, Any] = {}  # section → what its browser of episodes shows
        self.pictures: dict[str, Any] = {}  # section → image → what shows it

    def add(self, figure: Figure | None, prefix: str) -> dict[str, Any] | None:
        """The figure as templates take it, its charts kept under names that begin with ``prefix``."""
        if figure is None:
            return None
        shown = []
        for number, chart in enumerate(figure.charts):
            name = f"{prefix}-{figure.name}-{number}"
            text = json.dumps(chart.spec, sort_keys=True)
            self._charts[name] = {
                "spec": self._specs.setdefault(text, len(self._specs)),
                "title": chart.title,
                "values": chart.values,
                "numbers": chart.numbers,
                "zoom": list(chart.zoom),
                "equal": chart.equal,
            }
            shown.append({"id": name, "title": chart.title, "about": chart.about, "zooms": bool(chart.zoom)})
        about_figure = {"name": figure.name, "title": figure.title, "caption": figure.caption, "small": figure.small}
        return {**about_figure, "charts": shown}

    def as_json(self) -> str:
        """JSON that may stand in a script element, whatever text is in it."""
        specs = [json.loads(text) for text in self._specs]
        whole = {"specs": specs, "charts": self._charts, "episodes": self.episodes, "pictures": self.pictures}
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text = OWN_NAMES.sub('"\u2060\\1"', text)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _made(report: Report) -> str:
    """When, from which benches, under which version: ``2026-11-27 09:14 UTC · bench 2b44fc6d7673 · harness 0.2.0``."""
    parts = []
    for table in {table.bench: table for table in report.tables}.values():
        when = table.created[:16].replace("T", " ")
        parts.append(f"bench {table.bench}" + (f", {when} UTC" if when[:2] == "20" else ""))
    return " · ".join([*parts[:3], *([f"and {len(parts) - 3} more"] if len(parts) > 3 else [])])


def _section(table: Table, prefix: str, data: _Data, most_bytes: int) -> dict[str, Any]:
    found, kept = leads(table), table.predictions
    names = [row.name for row in contestants(tables.ranked(table))]
    figures: Mapping[str, Figure | None] = {
        "answer": charts_accuracy.answer(found),
        "accuracies": charts_accuracy.accuracies(table),
        "differences": charts_accuracy.differences(table) if table.baseline else None,
        "cost": charts_training.cost(table),
        "classes": charts_classes.by_class(kept, names) if kept else None,
        "confusion": charts_classes.confusion(kept, names[0]) if kept and names else None,
        "map": charts_map.embeddings(kept, names) if kept else None,
        "learning": charts_training.learning(table),
        "validation": charts_training.validation(table),
    }
    browser = episodes.browser(kept, names) if kept else []
    mapped = figures["map"].charts[0].values if figures["map"] else []
    numbers = [*episodes.shown_images(browser), *(value["number"] for value in mapped)]
    data.episodes[prefix] = browser
    shown = pictures.table_pictures(table, numbers, most_bytes)
    data.pictures[prefix] = {number: pictures.as_text(picture) for number, picture in shown.items()}
    published = published_rows(table)
    grids = {
        "accuracy": tables.main(table),
        "differences": tables.differences(table),
        "published": tables.published(published),
        "cost": tables.cost(table),
        "pairs": charts_classes.pairs(kept, names) if kept else None,
    }
    return {
        "id": prefix,
        "title": title(table),
        "bench": table.bench,
        "sentences": sentences(table, found),
        "about_answer": about(found),
        "intervals": [(name, description.partition(": ")[2]) for name, (_, _, description) in INTERVALS.items()],
        "few_seeds": len(table.plan.seeds) < LEAST_SEEDS,
        "figures": {name: data.add(figure, prefix) for name, figure in figures.items()},
        "grids": grids,
        "episodes": bool(browser),
        "pictures": bool(data.pictures[prefix]),
        "contents": _contents(table, bool(published), bool(browser)),
        "absent": {
            "predictions": "" if figures["classes"] else NO_PREDICTIONS,
            "confusion": "" if figures["confusion"] or not figures["classes"] else FEW_EPISODES,
            "map": "" if figures["map"] or not figures["classes"] else NO_FEATURES,
            "cost": "" if figures["cost"] else "no row trained anything whose cost is known.",
            "learning": "" if figures["learning"] else "no row was trained for more than one epoch.",
        },
        "marks": mark_notes(table),
        "failures": [(row.name, row.failure) for row in table.rows if row.failure],
        "baseline": table.baseline,
        "about_differences": about_differences(table, new_classes=True) if table.baseline else "",
        "about_published": ABOUT_PUBLISHED,
        "conditions": [line.partition("; the open interval (new images)")[0] for line in conditions(table)],
        "commands": [("Run the bench", bench_command(table.plan)), ("Make this page", report_command(table))],
        "plan": json.dumps(table.plan.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False),
    }


def _contents(table: Table, published: bool, episodes: bool) -> list[tuple[str, str]]:
    parts = {
        "accuracy": "Accuracy",
        "differences": f"Differences from {table.baseline}" if table.baseline else "",
        "published": "Published numbers" if published else "",
        "classes": "Novel classes",
        "episodes": "Episodes" if episodes else "",
        "cost": "Cost",
        "learning": "Training",
        "conditions": "Conditions",
    }
    return [(name, words) for name, words in parts.items() if words]

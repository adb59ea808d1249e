"""Reports as one html page with its figures, and nothing from elsewhere: no script, no font, no image to fetch.

Labels, errors and dataset names come from command lines and plugins, so all of them are escaped, in figures too.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from importlib import resources
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError
from harness.reports.figures.drawing import INTERVALS, Plot
from harness.reports.figures.plots import plots, rendered
from harness.reports.formats.conditions import conditions, preset
from harness.reports.formats.markdown import (
    ABOUT_PUBLISHED,
    about_differences,
    accuracy,
    costs,
    difference_rows,
    head,
    mark_notes,
    marked,
    mean,
    published_rows,
    title,
)

if TYPE_CHECKING:
    from harness.reports.model import Report, Row, Table

INK, PAPER = "#010203", "#fcfdfe"  # stand for the page's own colours, whatever the reader's theme makes them
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def html(report: Report) -> str:
    """The page.

    Raises:
        HarnessError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise HarnessError("the html report needs jinja2. Run: pip install 'fsl-harness[html]'") from None
    source = resources.files("harness.reports").joinpath("report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sections = [_section(table, i) for i, table in enumerate(report.tables)]
    return environment.from_string(source).render(sections=sections, failures=report.failures)


def _section(table: Table, number: int) -> dict[str, Any]:
    import markupsafe

    return {
        "title": title(table),
        "bench": table.bench,
        "specs": [str(spec) for spec in table.specs],
        "intervals": [(name, description.partition(": ")[2]) for name, (_, _, description) in INTERVALS.items()],
        "rows": [_row(table, row) for row in table.rows],
        "marks": mark_notes(table),
        "failures": [(row.name, row.failure) for row in table.rows if row.failure],
        "baseline": table.baseline,
        "about_differences": about_differences(table, new_classes=True) if table.baseline else "",
        "differences": [_without_stars(line) for line in difference_rows(table, new_classes=True)],
        "about_published": ABOUT_PUBLISHED,
        "published": published_rows(table),
        "costs": [
            {"method": row.name, "preset": preset(row) if row.preset else "-", **costs(row)} for row in table.rows
        ],
        "conditions": conditions(table),
        "plan": json.dumps(table.plan.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False),
        "plots": [
            {"name": plot.name, "caption": plot.caption, "svg": markupsafe.Markup(inline_svg(plot, f"t{number}-"))}
            for plot in plots(table, INK, PAPER)
        ],
    }


def _row(table: Table, row: Row) -> dict[str, Any]:
    cells = []
    for spec in table.specs:
        cell = row.cells.get(spec)
        best = max((mean(other, spec) for other in table.rows if spec in other.cells), default=None)
        for name in INTERVALS:
            interval = cell.intervals.get(name) if cell else None
            text = accuracy(row, spec, name)
            cells.append(
                {
                    "text": marked(text, row, spec) if name == "closed" else text,
                    "note": interval.note if interval else "",
                    "best": cell is not None and name == "closed" and mean(row, spec) == best and len(table.rows) > 1,
                }
            )
    return {
        "name": marked(row.name, row),
        "backbone": (row.backbone or "-") + (f", {row.weights}" if row.weights else ""),
        "head": head(row),
        "floor": row.floor,
        "cells": cells,
    }


def _without_stars(line: dict[str, str]) -> dict[str, Any]:
    return {**line, "difference": line["difference"].strip("*"), "significant": line["difference"].startswith("**")}


def inline_svg(plot: Plot, prefix: str) -> str:
    """The figure as an svg element for a page: in the page's own colours, with identifiers of its own.

    Args:
        prefix: of every identifier, so that the figures of a page do not meet.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(rendered(plot, "svg", text_as_text=True))
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith("metadata"):
                parent.remove(child)
    prefix += f"{plot.name}-"
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, prefix + value)
            elif name == f"{{{XLINK}}}href" and value.startswith("#"):
                element.set(name, f"#{prefix}{value[1:]}")
            else:
                value = value.replace(INK, "currentColor").replace(PAPER, "var(--page)")
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
    root.set("role", "img")
    root.set("aria-label", plot.caption)
    return ElementTree.tostring(root, encoding="unicode")

"""Reports for programs: csv and json. The same runs give the same bytes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from harness.common.errors import HarnessError
from harness.reports.formats.lines import csv_lines
from harness.reports.model import ACCURACIES, TESTED_ON, Cell, Report, Row
from harness.reports.view import chosen_columns
from harness.statistics.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

    from harness.contract.episodes import EpisodeSpec


FORMULA = tuple("=+-@\t\r")  # what a cell begins with that a spreadsheet computes


def frame(report: Report) -> pd.DataFrame:
    """One line for each row, setting and interval; accuracies as fractions."""
    import pandas as pd

    lines = []
    for table in report.tables:
        for row in table.rows:
            columns: dict[str, Any] = {
                "bench": table.bench,
                "dataset": table.dataset,
                "partial": "; ".join(table.notes),
                "method": row.name,
                "preset": row.preset,
                "changed": "; ".join(f"{k}={v}" for k, v in row.changed.items()),
                "backbone": row.backbone,
                "weights": row.weights,
                "head": row.head,
                "seeds": " ".join(map(str, row.seeds)),
                "images_seen": row.images_seen,
                "flops": row.flops,
                "fit_seconds": row.fit_seconds,
                "peak_memory_bytes": row.peak_memory_bytes,
                "failure": row.failure,
                "marks": _marks(row, None),
                **({"pretrained": row.pretrained} if row.pretrained else {}),
                **({"source": row.source} if row.source else {}),
            }
            if row.failure:
                lines.append(columns)
            lines.extend(
                {**columns, **_numbers(spec, cell, name), "marks": _marks(row, spec)}
                for spec, cell in row.cells.items()
                for name in cell.intervals
            )
    whole = {name: "Int64" for name in ("n_way", "k_shot", "n_query") if any(name in line for line in lines)}
    return pd.DataFrame(lines).astype(whole)


def _marks(row: Row, spec: EpisodeSpec | None) -> str:
    """The reasons to think that a row learned nothing, as far as they are about this setting."""
    return "; ".join(mark.reason for mark in row.marks if mark.spec in (None, spec))


def _shape(spec: EpisodeSpec) -> dict[str, Any]:
    shape = {"n_way": spec.n_way, "k_shot": spec.k_shot, "n_query": spec.n_query, "dirichlet": spec.dirichlet}
    return shape | ({"least_way": spec.least_way, "least_shot": spec.least_shot} if spec.varied else {})


def _numbers(spec: EpisodeSpec, cell: Cell, name: str) -> dict[str, Any]:
    interval = cell.intervals[name]
    numbers: dict[str, Any] = {
        **_shape(spec),
        "interval": name,
        "accuracy": interval.mean,
        "half_width": interval.half_width,
        "df": interval.df,
        "note": interval.note,
    }
    if cell.compared is not None and name == "class" and (new_classes := cell.compared.found.new_classes):
        numbers |= {
            "difference": new_classes.mean,
            "difference_half_width": new_classes.half_width,
            "t_p": new_classes.p_value,
            "holm_t_p": cell.compared.holm_class_p,
        }
    if cell.compared is not None and name == TESTED_ON:
        difference = cell.compared.found.difference
        numbers |= {
            "difference": difference.mean,
            "difference_half_width": difference.half_width,
            "t_p": cell.compared.found.t_p,
            "holm_t_p": cell.compared.holm_t_p,
            "wilcoxon_p": cell.compared.found.wilcoxon_p,
            "holm_wilcoxon_p": cell.compared.holm_wilcoxon_p,
        }
        if equivalence := cell.compared.equivalence:
            numbers |= {
                "equivalence_margin": equivalence.margin,
                "equivalence_p": equivalence.p,
                "holm_equivalence_p": equivalence.holm_p,
                "relation": equivalence.relation,
            }
    if cell.published and name == "closed":
        numbers |= {
            "published": "; ".join(f"{verdict.accuracy:.6g}" for verdict in cell.published),
            "published_ci95": "; ".join(f"{verdict.ci95:.6g}" for verdict in cell.published),
            "published_verdict": "; ".join(verdict.text for verdict in cell.published),
            "published_source": "; ".join(verdict.source for verdict in cell.published),
        }
    return numbers


def seed_frame(report: Report) -> pd.DataFrame:
    """One line for each row, setting and seed; mean accuracies over closed episodes, fractions."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "bench": table.bench,
                "dataset": table.dataset,
                "method": row.name,
                "preset": row.preset,
                "backbone": row.backbone,
                "head": row.head,
                **_shape(spec),
                "seed": seed,
                "accuracy": cell.by_seed[i],
            }
            for table in report.tables
            for row in table.rows
            for spec, cell in row.cells.items()
            for i, seed in enumerate(row.seeds)
        ],
        columns=None if any(row.cells for table in report.tables for row in table.rows) else ["method", "accuracy"],
    )


def csv(report: Report) -> str:
    """The lines and columns that the view asks for, each value as a spreadsheet shows it.

    Raises:
        HarnessError: an interval is asked for beside values of seeds, which have none; or predictions, of runs that
            have kept none.
        UnknownName: there is no such column.
    """
    view = report.view
    if view.what != ACCURACIES:
        if view.per_seed or view.interval or view.columns:
            raise HarnessError(f"--what {view.what}: leave out --per-seed, --interval and --columns")
        return csv_lines(report, view.what)
    if view.per_seed and view.interval:
        raise HarnessError("--per-seed: the value of one seed has no interval here. Leave out --interval")
    lines = seed_frame(report) if view.per_seed else frame(report)
    if view.interval and "interval" in lines:
        lines = lines[(lines["interval"] == view.interval) | lines["interval"].isna()]
    if view.columns:
        lines = lines[chosen_columns(view.columns, list(lines))]
    return _without_formulas(lines).to_csv(index=False)


def _without_formulas(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with an apostrophe before each name that a spreadsheet would take for a formula."""
    for name in lines:
        if any(map(_is_formula, lines[name])):
            lines = lines.assign(**{name: lines[name].map(lambda value: f"'{value}" if _is_formula(value) else value)})
    return lines


def _is_formula(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in FORMULA


def to_json(report: Report) -> str:
    """Every table with its rows, cells, conditions and plan; infinite and missing numbers as null."""
    return json.dumps(plain({"tables": report.tables}), indent=2, ensure_ascii=False) + "\n"


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        printed = (field for field in dataclasses.fields(value) if field.metadata.get("printed", True))
        computed = ("half_width",) if isinstance(value, Interval) else ()
        names = [*(field.name for field in printed), *computed]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

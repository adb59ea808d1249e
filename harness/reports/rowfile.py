"""A row of a table as one small file, against which anybody's bench on the same episodes is tested in pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError, UnknownName
from harness.reports.build import Asked, build_table
from harness.reports.foreign import with_digest
from harness.reports.groups import group_stages
from harness.runs.handed_on import RowRecord, RowScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contract.results import StageResult
    from harness.runs.records import BenchRecord, TableRecord


def row_record(output: Path, bench: BenchRecord, row: str, dataset: str | None = None) -> RowRecord:
    """The row of a bench as its file holds it.

    Args:
        dataset: of the bench; None: its first.
    Raises:
        UnknownName: the bench has no such dataset or row.
        RunsError: the row failed, or is not whole.
    """
    tables = {table.dataset: table for table in bench.tables}
    if dataset is not None and dataset not in tables:
        raise UnknownName("dataset of this bench", dataset, tables, "Datasets")
    table = tables[dataset] if dataset is not None else bench.tables[0]
    groups = group_stages(output, table)
    shown = [name for name, group in groups.items() if group.shown]
    if row not in shown:
        raise UnknownName("row", row, shown, "Rows")
    [printed] = [line for line in build_table(output, bench, table, Asked()).rows if line.name == row]
    if printed.failure is not None:
        raise RunsError(f"{row} failed ({printed.failure}), so there is nothing to write")
    group = groups[row]
    record = RowRecord(
        kind="row",
        row=row,
        **{name: getattr(printed, name) for name in _AS_PRINTED},
        conditions=dict(printed.conditions),
        bench=bench.id,
        created=bench.created,
        **{name: getattr(table, name) for name in _OF_TABLE},
        plan=bench.plan,
        keys=tuple(record.key for record in group.records),
        settings=_settings(table, group.results),
    )
    return with_digest(record)


def as_text(record: RowRecord) -> str:
    """The content of the file: JSON on one line, the same row the same bytes."""
    return json.dumps(record.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


_AS_PRINTED = (
    "label",
    "method",
    "stage",
    "preset",
    "changed",
    "options",
    "note",
    "floor",
    "transductive",
    "backbone",
    "weights",
    "pretrained",
    "head",
    "seeds",
    "images_seen",
    "flops",
    "fit_seconds",
    "peak_memory_bytes",
)
_OF_TABLE = ("dataset", "test_dataset", "score_on", "train_on", "notes", "data_fingerprint")


def _settings(table: TableRecord, results: Sequence[StageResult]) -> tuple[RowScores, ...]:
    parts = []
    for kind in table.episodes:
        scores = [
            score
            for result in results
            for score in result.scores
            if (score.episodes, score.target, score.episodes_fingerprint) == (kind.spec, kind.target, kind.fingerprint)
        ]
        if scores:
            parts.append(
                RowScores(
                    episodes=kind,
                    n_classes=scores[0].n_classes,
                    classes=tuple(map(tuple, scores[0].classes.tolist())),
                    accuracies=tuple(tuple(score.accuracies.tolist()) for score in scores),
                    feature_spreads=tuple(score.feature_spread for score in scores),
                )
            )
    return tuple(parts)

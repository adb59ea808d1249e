"""One bench in full: what was asked, and what each of its stages is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.runs.layout import Kind, stage_on_disk
from harness.runs.stages import StageFolder

if TYPE_CHECKING:
    from harness.runs.records import BenchRecord, StageRecord, TableRecord

PARTS: tuple[Kind, ...] = ("weights", "checkpoint", "features", "scores", "predictions")  # whose sizes are told


@dataclass(frozen=True)
class StageDetails:
    """One stage of a bench with one seed."""

    dataset: str
    record: StageRecord
    state: str  # "trained", "busy", "gone", or why there is no result
    fit_seconds: float | None
    conditions: Mapping[str, str]  # device, precision, threads, versions
    sizes: Mapping[Kind, int]  # bytes on disk

    @property
    def name(self) -> str:
        return f"{self.record.label}/{self.record.stage}"


def details(output: Path, bench: BenchRecord) -> list[StageDetails]:
    """The stages of a bench, in its order."""
    return [_stage(output, table, record) for table in bench.tables for record in table.stages]


def _stage(output: Path, table: TableRecord, record: StageRecord) -> StageDetails:
    on_disk = stage_on_disk(output, record.folder)
    trained = StageFolder(on_disk.path).trained
    if on_disk.busy:
        state = "busy"
    elif record.failure is not None:
        state = f"failed: {record.failure}"
    else:
        state = "gone" if trained is None else "trained"
    sizes = {kind: on_disk.n_bytes(kind) for kind in PARTS}
    seconds = None if trained is None else trained.fit_seconds
    return StageDetails(table.dataset, record, state, seconds, {} if trained is None else trained.conditions, sizes)


def shared(stages: Sequence[StageDetails]) -> dict[str, str]:
    """Device, precision, threads and versions; where stages ran under different ones, all of them."""
    names = dict.fromkeys(name for stage in stages for name in stage.conditions)
    return {
        name: " / ".join(dict.fromkeys(stage.conditions[name] for stage in stages if name in stage.conditions))
        for name in names
    }


def changed_fields(bench: BenchRecord) -> dict[str, Any]:
    """What the plan of a bench changes from the defaults."""
    return bench.plan.model_dump(mode="json", exclude_defaults=True)

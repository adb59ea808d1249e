"""Rows of an earlier bench trained again from its record, in a run folder of their own, and compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.bench import run_opened
from harness.bench.opening import OpenBench
from harness.bench.recorded import recorded_folder
from harness.bench.retraining import Asked, Trained, named, tables_again
from harness.common.errors import RunsError, UnknownName
from harness.contract.results import StageResult
from harness.execution.events import JobDone, JobEvent
from harness.hardware.request import HardwareRequest
from harness.runs import StageFolder
from harness.runs.agreement import StageAgreement, agreement
from harness.runs.reproduction import claim

if TYPE_CHECKING:
    from harness.bench.events import Observe
    from harness.bench.table import BenchTable
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.executor import Executor
    from harness.execution.job import StageJob
    from harness.runs.records import BenchRecord


@dataclass(frozen=True)
class Reproduced:
    """A row with a seed, trained again."""

    dataset: str
    row: str
    seed: int
    failure: str | None  # why it was not trained or scored now
    kept: bool  # it was trained again by an earlier call, and nothing was done now
    rescored: bool  # the code that scores, or a classifier, has another version than then
    agreement: StageAgreement | None  # None: it failed

    @property
    def equal(self) -> bool:
        """Whether weights and accuracies are the same to the last digit."""
        return self.agreement is not None and self.agreement.equal


def reproduce(
    bench: BenchRecord,
    asked: Asked,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    again: Path,
    root: Path,
    observe: Observe = lambda event: None,
) -> list[Reproduced]:
    """Train rows of ``bench``, of the run folder ``output``, again in the folder ``again``: a bench of its own there.

    A call that was interrupted goes on where it stopped.

    Args:
        root: the folder of prepared datasets.
        observe: as of harness.bench.bench.bench.
    Returns:
        A row and seed each, in the order of the bench; those that failed then are left out.
    Raises:
        UnknownName: the bench has no such dataset, row or seed, or something that it names is not installed.
        HarnessError: the data are not here, or this computer is no such machine.
        RunsError: what decides the numbers has changed, they are gone, or ``again`` holds other runs.
        CannotWrite: there is no room in ``again``; what is done is kept.
    """
    if again.resolve() == output.resolve():
        raise RunsError(f"{again} holds the rows themselves: train them again elsewhere, --output FOLDER")
    trained = to_reproduce(output, bench, asked)
    plan = asked_plan(bench, trained, asked)
    executor.check(HardwareRequest(plan.device, plan.precision, plan.threads, plan.devices))
    tables = tables_again(bench, trained, asked, catalogue, output, again, root)
    claim(again, bench.id)
    kept: dict[str, bool] = {}

    def hear(event: Any) -> None:
        if isinstance(event, JobEvent) and isinstance(event.event, JobDone):
            kept[event.job.key] = event.event.reused
        observe(event)

    run_opened(OpenBench(plan, tables, frozenset()), executor, again, hear)
    outcomes = {job.key: (job, table) for table in tables for job in table.jobs}
    return [_reproduced(stage, *outcomes[stage.record.key], kept[stage.record.key]) for stage in trained]


def _reproduced(stage: Trained, job: StageJob, table: BenchTable, kept: bool) -> Reproduced:
    record, outcome, scores = stage.record, table.outcomes[job], table.scores(job)
    failure = None if isinstance(outcome, StageResult) else outcome.error
    rescored = set(scores) != set(record.scores)
    agreed = None
    if isinstance(outcome, StageResult):
        was = stage.folder.result(record.key, record.scores)
        if was is None:
            raise RunsError(f"{stage.folder.path} lost files while its stage was trained again")
        agreed = agreement(stage.folder, was, StageFolder(job.folder), outcome)
    return Reproduced(stage.table.dataset, record.row, record.seed, failure, kept, rescored, agreed)


def to_reproduce(output: Path, bench: BenchRecord, asked: Asked) -> list[Trained]:
    """The stages of a bench whose numbers are to be met again; those that failed are left out.

    Raises:
        UnknownName: the bench has no such dataset, row or seed.
        RunsError: what was asked for failed, or is no longer whole.
    """
    tables = {table.dataset: table for table in bench.tables}
    if asked.dataset is not None and asked.dataset not in tables:
        raise UnknownName("dataset of this bench", asked.dataset, tables, "Datasets")
    chosen = [table for name, table in tables.items() if asked.dataset in (None, name)]
    stages = [(table, record) for table in chosen for record in table.stages if record.shown]
    rows = {record.row for _, record in stages}
    if asked.row is not None and asked.row not in rows:
        raise UnknownName("row", asked.row, rows, "Rows")
    stages = [(table, record) for table, record in stages if asked.row in (None, record.row)]
    seeds = {str(record.seed) for _, record in stages}
    if asked.seed is not None and str(asked.seed) not in seeds:
        raise UnknownName(f"seed of {asked.row or 'this bench'}", str(asked.seed), seeds, "Seeds")
    stages = [(table, record) for table, record in stages if asked.seed in (None, record.seed)]
    whole = [(table, record) for table, record in stages if record.failure is None]
    if not whole:
        _, record = stages[0]
        raise RunsError(f"{named(record)} failed ({record.failure}): there are no numbers to meet again")
    trained = [Trained(table, record, StageFolder(recorded_folder(output, record))) for table, record in whole]
    for stage in trained:
        if stage.folder.result(stage.record.key, stage.record.scores) is None:
            raise RunsError(f"{stage.folder.path} is not whole: what it reached is gone, so nothing can be compared")
    return trained


def asked_plan(bench: BenchRecord, trained: Sequence[Trained], asked: Asked) -> BenchPlan:
    """The plan of a bench narrowed to what is trained again, as the record of that names it."""
    narrowed: dict[str, Any] = {
        "dataset": tuple(dict.fromkeys(stage.table.dataset for stage in trained)),
        "seeds": tuple(dict.fromkeys(stage.record.seed for stage in trained)),
        **(asked.machine or {}),
    }
    if asked.row is not None:
        narrowed |= {"rows": (asked.row,), "baseline": None, "equivalent": None}
    return bench.plan.model_copy(update=narrowed)

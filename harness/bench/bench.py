"""The pipeline as one readable function: open, sample, train, score, keep, report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runs
from harness.bench.events import BenchStarted, Observe
from harness.bench.opening import OpenBench, open_bench
from harness.bench.schedule import Schedule
from harness.bench.table import BenchTable
from harness.bench.unread import unread_options
from harness.common.errors import CannotWrite
from harness.contract.results import StageFailure
from harness.execution.events import JobEvent, Note, OptionsRead
from harness.hardware.request import HardwareRequest
from harness.runs.records import BegunRecord, BenchRecord

if TYPE_CHECKING:
    from harness.bench.table import BenchTable
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.executor import Executor
    from harness.execution.job import StageJob


def bench(
    plan: BenchPlan,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    root: Path,
    observe: Observe = lambda event: None,
    earlier: BenchRecord | None = None,
    trial: bool = False,
) -> BenchRecord:
    """Train and score every stage of every method of ``plan`` on the same data and episodes, and keep the record.

    What ``output`` already holds is not done again. A stage that fails is a failure in the record, and so are the
    stages that are trained from it.

    Args:
        output: the run folder.
        root: the folder of prepared datasets.
        observe: is told what harness.execution.events defines; what it raises at BenchStarted ends the bench.
        earlier: a bench whose trained stages, as it recorded them, are scored anew; nothing is trained.
        trial: of a search for options. No record is kept, and where a method says that its options do not go with the
            data, that is no error: what fails is a failure in the record.
    Returns:
        The bench's record: the plan, and a table a dataset.
    Raises:
        HarnessError: the plan names something that does not exist, or does not fit the data.
        CannotWrite: there is no room in the run folder, or it is gone; what is done is kept.
        RunsError: no stage of ``earlier`` is trained.
    """
    executor.check(HardwareRequest(plan.device, plan.precision, plan.threads, plan.devices))
    runs.writable(*written_folders(output, trial))
    return run_opened(open_bench(plan, catalogue, output, root, earlier, trial), executor, output, observe, trial)


def run_opened(
    opened: OpenBench, executor: Executor, output: Path, observe: Observe, trial: bool = False
) -> BenchRecord:
    """Train and score what is left of a bench, and keep its record; for the arguments see ``bench``.

    Raises:
        CannotWrite: there is no room in the run folder, or it is gone; what is done is kept.
    """
    plan, tables, jobs = opened.plan, opened.tables, opened.jobs
    observe(BenchStarted(jobs, tables))
    if not trial:
        _begin(opened.id, plan, jobs, output)
    schedule = Schedule(tables, observe, opened.untrained)
    reads: dict[str, frozenset[str]] = {}  # a trained stage's key → the options that it was seen to read

    def hear(job: StageJob, event: Any) -> None:
        if isinstance(event, OptionsRead):
            reads[job.key] = event.names
        observe(JobEvent(job, event))

    for job, outcome in executor.run(schedule.ready, hear):
        if isinstance(outcome, StageFailure) and outcome.unwritable:
            raise CannotWrite(outcome.error)
        schedule.finish(job, outcome)
    for text in dict.fromkeys(text for table in tables for text in unread_options(table, reads)):
        observe(Note(text))
    record = BenchRecord(
        id=opened.id,
        created=_now(),
        plan=plan,
        tables=tuple(table.record(output) for table in tables),
    )
    if not trial:
        _keep(output, record, tables)
    return record


def written_folders(output: Path, trial: bool = False) -> list[Path]:
    """The folders that a bench, or a trial of a search, writes to."""
    return [output, output / "stages", *([] if trial else [output / "benches", output / "begun"])]


def _keep(output: Path, record: BenchRecord, tables: Sequence[BenchTable]) -> None:
    """Write the record, and before it what its episodes are drawn from."""
    for table in tables:
        runs.save_split(output, table.source.test_dataset or table.source.dataset, table.scored)
    runs.save_bench(output, record)


def _begin(bench_id: str, plan: BenchPlan, jobs: list[StageJob], output: Path) -> None:
    folders = tuple(dict.fromkeys(str(job.folder.relative_to(output)) for job in jobs))
    runs.begin_bench(output, BegunRecord(id=bench_id, begun=_now(), plan=plan, stages=folders))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

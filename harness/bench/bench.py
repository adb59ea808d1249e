"""The pipeline as one readable function: open, sample, train, score, keep, report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runs
from harness.bench.checks import check_backbones, check_methods
from harness.bench.events import BenchStarted, Observe
from harness.bench.recorded import recorded_table
from harness.bench.schedule import Schedule
from harness.bench.table import BenchTable, open_table
from harness.bench.unread import unread_options
from harness.common.errors import CannotWrite, HarnessError, RunsError, UnknownName
from harness.contract.results import StageFailure
from harness.execution.events import JobEvent, Note, OptionsRead
from harness.hardware.request import HardwareRequest
from harness.runs import StageFolder
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
    runs.writable(output, output / "stages", *([] if trial else [output / "benches", output / "begun"]))
    plan = _with_spelt_names(plan, catalogue)
    _refuse_vain_options(plan, catalogue)
    tables = (
        [recorded_table(plan, table, catalogue, output, root) for table in earlier.tables]
        if earlier
        else [open_table(plan, name, catalogue, output, root) for name in plan.dataset]
    )
    for table in tables:
        if not trial:
            check_methods(table.entries, table.dataset)
        check_backbones(table.jobs, table.dataset, catalogue)
    _refuse_unknown_baseline(plan, tables)
    jobs = [job for table in tables for job in table.jobs]
    untrained = _untrained(jobs, output) if earlier else set()
    observe(BenchStarted(jobs, tables))
    # Kept predictions change no number: with and without them it is the same bench.
    bench_id = runs.digest([plan.model_dump(mode="json", exclude={"predictions"}), [job.key for job in jobs]])[:12]
    if not trial:
        _begin(bench_id, plan, jobs, output)
    schedule = Schedule(tables, observe, untrained)
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
        id=bench_id,
        created=_now(),
        plan=plan,
        tables=tuple(table.record(output) for table in tables),
    )
    if not trial:
        _keep(output, record, tables)
    return record


def _keep(output: Path, record: BenchRecord, tables: Sequence[BenchTable]) -> None:
    """Write the record, and before it what its episodes are drawn from."""
    for table in tables:
        runs.save_split(output, table.source.test_dataset or table.source.dataset, table.scored)
    runs.save_bench(output, record)


def _with_spelt_names(plan: BenchPlan, catalogue: Catalogue) -> BenchPlan:
    """``plan`` with its datasets spelt as they spell themselves: ``cifar-fs`` is no other bench than ``CIFAR-FS``."""
    spelt: dict[str, Any] = {"dataset": tuple(catalogue.dataset_name(name) for name in plan.dataset)}
    if plan.test_dataset is not None:
        spelt["test_dataset"] = catalogue.dataset_name(plan.test_dataset)
    return plan.model_copy(update=spelt)


def _refuse_unknown_baseline(plan: BenchPlan, tables: Sequence[BenchTable]) -> None:
    rows = {table.row(job) for table in tables for job in table.jobs if table.shows(job)}
    if plan.baseline is not None and plan.baseline not in rows:
        raise UnknownName("row for --baseline", plan.baseline, rows, "Rows")


def _begin(bench_id: str, plan: BenchPlan, jobs: list[StageJob], output: Path) -> None:
    folders = tuple(dict.fromkeys(str(job.folder.relative_to(output)) for job in jobs))
    runs.begin_bench(output, BegunRecord(id=bench_id, begun=_now(), plan=plan, stages=folders))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _untrained(jobs: Sequence[StageJob], output: Path) -> set[str]:
    """The keys of the stages that are not trained. Raises RunsError where none is."""
    keys = {job.key for job in jobs if StageFolder(job.folder).trained is None}
    if all(job.key in keys for job in jobs):
        raise RunsError(
            f"{jobs[0].name} seed {jobs[0].seed} is not trained in {output}, nor any other stage of the "
            "bench. Train them: harness bench"
        )
    return keys


def _refuse_vain_options(plan: BenchPlan, catalogue: Catalogue) -> None:
    """Raises HarnessError where an option about one's own images is given without such a dataset."""
    names = (*plan.dataset, *([plan.test_dataset] if plan.test_dataset else []))
    given = [flag for flag, value in (("--split", plan.split), ("--skip-damaged", plan.skip_damaged)) if value]
    if given and not any(catalogue.dataset(name)[0].takes_argument for name in names):
        raise HarnessError(f"{' and '.join(given)}: for folder:PATH alone; {', '.join(names)} has a split of its own")

"""A bench that is opened and checked: what it names is there, fits the data, and has become jobs."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runs
from harness.bench.checks import check_backbones, check_methods
from harness.bench.recorded import recorded_table
from harness.bench.table import BenchTable, open_table
from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.runs import StageFolder

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.job import StageJob
    from harness.runs.records import BenchRecord


@dataclass(frozen=True)
class OpenBench:
    """What a bench is to do."""

    plan: BenchPlan  # with its datasets as they spell themselves
    tables: Sequence[BenchTable]
    untrained: Set[str]  # keys of the stages that are missing and not to be trained now

    @property
    def jobs(self) -> list[StageJob]:
        """In order, each after its parents."""
        return [job for table in self.tables for job in table.jobs]

    @property
    def id(self) -> str:
        """Of what is asked. Kept predictions change no number: with and without them it is the same bench."""
        plan = self.plan.model_dump(mode="json", exclude={"predictions"})
        return runs.digest([plan, [job.key for job in self.jobs]])[:12]


def open_bench(
    plan: BenchPlan,
    catalogue: Catalogue,
    output: Path,
    root: Path,
    earlier: BenchRecord | None = None,
    trial: bool = False,
) -> OpenBench:
    """What ``plan`` asks for, after every check that can be made before a training; for the arguments see ``bench``.

    Raises:
        HarnessError: the plan names something that does not exist, or does not fit the data.
        RunsError: no stage of ``earlier`` is trained.
    """
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
    return OpenBench(plan, tables, _untrained(jobs, output) if earlier else frozenset())


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


def _refuse_vain_options(plan: BenchPlan, catalogue: Catalogue) -> None:
    """Raises HarnessError where an option about one's own images is given without such a dataset."""
    names = (*plan.dataset, *([plan.test_dataset] if plan.test_dataset else []))
    given = [flag for flag, value in (("--split", plan.split), ("--skip-damaged", plan.skip_damaged)) if value]
    if given and not any(catalogue.dataset(name)[0].takes_argument for name in names):
        raise HarnessError(f"{' and '.join(given)}: for folder:PATH alone; {', '.join(names)} has a split of its own")


def _untrained(jobs: Sequence[StageJob], output: Path) -> set[str]:
    """The keys of the stages that are not trained. Raises RunsError where none is."""
    keys = {job.key for job in jobs if StageFolder(job.folder).trained is None}
    if all(job.key in keys for job in jobs):
        raise RunsError(
            f"{jobs[0].name} seed {jobs[0].seed} is not trained in {output}, nor any other stage of the "
            "bench. Train them: harness bench"
        )
    return keys

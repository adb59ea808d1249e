"""The pipeline as one readable function: open, sample, train, score, keep, report."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runs
from harness.entries import Entry, entries, episode_specs
from harness.errors import HarnessError, RunsError, UnknownName
from harness.events import BenchStarted, JobDone, JobEvent
from harness.execution.job import DataSource, Machine, Protocol, StageJob
from harness.plan import BenchPlan
from harness.runs import StageFolder, StageIdentity
from harness.types import Dataset, DatasetSpec, Episodes, StageFailure, StageResult

if TYPE_CHECKING:
    from harness.execution import Executor
    from harness.plugins import Catalogue


Observe = Callable[[Any], None]


def bench(
    plan: BenchPlan,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    root: Path,
    observe: Observe = lambda event: None,
    train: bool = True,
    keep: bool = True,
) -> dict[str, Any]:
    """Train and score every stage of every method of ``plan`` on the same data and episodes, and keep the record.

    What ``output`` already holds is not done again. A stage that fails is a failure in the record, and so are the
    stages that are trained from it.

    Args:
        output: the run folder.
        root: the folder of prepared datasets.
        observe: is told what harness.events defines.
        train: False: only score what is trained.
        keep: write the record down, where ``harness report`` finds it.
    Returns:
        The bench's record, as ``harness.reports`` reads it: the plan, and a table a dataset.
    Raises:
        HarnessError: the plan names something that does not exist, or does not fit the data.
        RunsError: ``train`` is False and no stage is trained.
    """
    executor.check(Machine(plan.device, plan.precision, plan.threads, plan.devices))
    runs.writable(output, output / "stages", *([output / "benches"] if keep else []))
    tables = [_table(plan, name, catalogue, output, root) for name in plan.dataset]
    rows = {table.row(job) for table in tables for job in table.jobs if table.shows(job)}
    if plan.baseline is not None and plan.baseline not in rows:
        raise UnknownName("row for --baseline", plan.baseline, rows, "Rows")
    jobs = [job for table in tables for job in table.jobs]
    untrained = [] if train else [job for job in jobs if StageFolder(job.folder).trained is None]
    if untrained and len(untrained) == len(jobs):
        raise RunsError(f"{jobs[0].name} seed {jobs[0].seed} is not trained in {output}, nor any other stage of the "
                        "bench. Train them: harness bench")  # fmt: skip
    observe(BenchStarted(jobs))
    schedule = _Schedule(tables, observe, {job.key for job in untrained})
    for job, outcome in executor.run(schedule.ready, lambda job, event: observe(JobEvent(job, event))):
        schedule.finish(job, outcome)
    record = {
        "id": runs.digest([plan.model_dump(mode="json"), [job.key for job in jobs]])[:12],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan.model_dump(mode="json"),
        "tables": [table.record(output) for table in tables],
    }
    if keep:
        runs.save_bench(output, record)
    return record


@dataclass(frozen=True, eq=False)
class _Table:
    """One dataset of a bench: its episodes, its jobs and what became of them."""

    source: DataSource
    dataset: Dataset
    episodes: list[Episodes]
    entries: list[Entry]
    jobs: list[StageJob]
    outcomes: dict[StageJob, StageResult | StageFailure]
    rows: tuple[str, ...] = ()  # patterns of the rows to show; empty: all

    def row(self, job: StageJob) -> str:
        """The name of a job's row: LABEL/STAGE, or LABEL where the method has one stage."""
        entry = self._entry(job)
        return job.name if len(entry.method.stages(entry.options)) > 1 else job.label

    def shows(self, job: StageJob) -> bool:
        """Whether a job has a row. Without one it is there because another is trained from it."""
        return not self.rows or any(fnmatch.fnmatchcase(self.row(job), pattern) for pattern in self.rows)

    def _entry(self, job: StageJob) -> Entry:
        return next(entry for entry in self.entries if entry.label == job.label)

    def scores(self, job: StageJob) -> list[str]:
        return [job.score_key(episodes) for episodes in self.episodes]

    def record(self, output: Path) -> dict[str, Any]:
        return {
            "dataset": self.source.dataset,
            "test_dataset": self.source.test_dataset,
            "train_on": self.source.train_on,
            "notes": list(self.dataset.notes),
            "data_fingerprint": self.dataset.fingerprint,
            "score_on": self.source.score_on,
            "n_test_classes": self.source.scored(self.dataset).n_classes,
            "episodes": [
                {**asdict(each.spec), "target": each.target, "n": len(each), "fingerprint": each.fingerprint}
                for each in self.episodes
            ],
            "stages": [self._stage(job, output) for job in self.jobs],
        }

    def _stage(self, job: StageJob, output: Path) -> dict[str, Any]:
        outcome = self.outcomes[job]
        entry = self._entry(job)
        return {
            "label": job.label,
            "method": job.method,
            "stage": job.stage,
            "row": self.row(job),
            "shown": self.shows(job),
            "preset": entry.preset if entry.method.presets else None,
            "changed": entry.changed_for(job.stage),
            "floor": entry.method.floor,
            "transductive": entry.transductive,
            "backbone": job.backbone,
            "head": asdict(job.head) if job.head else None,
            "options": dict(job.options),
            "seed": job.seed,
            "key": job.key,
            "parent": job.identity.parent,
            "folder": str(job.folder.relative_to(output)),
            "scores": self.scores(job),
            "failure": outcome.error if isinstance(outcome, StageFailure) else None,
        }


class _Schedule:
    """Which jobs are left, and which of them can begin: those whose parent is done."""

    def __init__(self, tables: Sequence[_Table], observe: Observe, untrained: Set[str] = frozenset()) -> None:
        self._tables = {job: table for table in tables for job in table.jobs}
        self._waiting = list(self._tables)
        self._running: set[str] = set()  # keys: a stage is never trained twice at once
        self._reasons: dict[tuple[_Table, str], str] = {}  # table and key of what failed → why its children did
        self._observe = observe
        self._untrained = untrained  # keys of what is not to be trained now

    def ready(self) -> StageJob | None:
        """The first job that can begin and has something to do; None: there is none now."""
        undone = set(self._running)
        for job in list(self._waiting):
            if undone.isdisjoint({job.key, job.identity.parent}):
                self._waiting.remove(job)
                outcome = self._reused(job) or self._blocked(job)
                if outcome is None:
                    self._running.add(job.key)
                    return job
                self.finish(job, outcome, reused=isinstance(outcome, StageResult))
            else:
                undone.add(job.key)
        return None

    def finish(self, job: StageJob, outcome: StageResult | StageFailure, reused: bool = False) -> None:
        """Note what became of a job."""
        self._running.discard(job.key)
        if isinstance(outcome, StageFailure):
            self._reasons.setdefault((self._tables[job], job.key), f"its parent {job.name} failed: {outcome.error}")
        self._tables[job].outcomes[job] = outcome
        self._observe(JobEvent(job, JobDone(outcome, reused)))

    def _reused(self, job: StageJob) -> StageResult | None:
        return StageFolder(job.folder).result(job.key, self._tables[job].scores(job))

    def _blocked(self, job: StageJob) -> StageFailure | None:
        if job.key in self._untrained:
            return StageFailure(job.key, "it is not trained: run its bench again")
        table = self._tables[job]
        reason = self._reasons.get((table, job.identity.parent or ""))
        if reason is None:
            return None
        self._reasons[table, job.key] = reason  # its own children name the first that failed
        return StageFailure(job.key, reason)


def _table(plan: BenchPlan, name: str, catalogue: Catalogue, output: Path, root: Path) -> _Table:
    found = entries(plan, name, catalogue)
    source = DataSource(name, root, plan.train_on, plan.test_dataset, plan.image_size, plan.score_on)
    dataset = source.open(catalogue)
    balanced = Protocol(tuple(episode_specs(plan)), plan.episodes, plan.episode_seed)
    protocol = balanced.with_unbalanced() if any(entry.transductive for entry in found) else balanced
    episodes = protocol.sample(source.scored(dataset))
    machine = Machine(plan.device, plan.precision, plan.threads, plan.devices)
    jobs = [
        job for seed in plan.seeds for entry in found
        for job in _chain(plan, entry, seed, source, dataset, protocol, machine, output, catalogue)
    ]  # fmt: skip
    table = _Table(source, dataset, episodes, found, jobs, {}, plan.rows)
    return replace(table, jobs=_needed(table))


def _needed(table: _Table) -> list[StageJob]:
    """The jobs that have a row, and those that they are trained from."""
    names = {table.row(job) for job in table.jobs}
    for pattern in table.rows:
        if not fnmatch.filter(names, pattern):
            raise UnknownName("row in --rows", pattern, names, "Rows")
    needed = {job.key for job in table.jobs if table.shows(job)}
    for job in reversed(table.jobs):  # each comes after its parent
        if job.key in needed and job.identity.parent is not None:
            needed.add(job.identity.parent)
    return [job for job in table.jobs if job.key in needed]


def _chain(
    plan: BenchPlan, entry: Entry, seed: int, source: DataSource, dataset: Dataset, protocol: Protocol,
    machine: Machine, output: Path, catalogue: Catalogue,
) -> Iterator[StageJob]:  # fmt: skip
    """The jobs of one method with one seed, each after its parent."""
    version = catalogue.classifier(entry.head.classifier).version if entry.head else None
    options = entry.options.model_dump(mode="json")
    weights = Path(plan.weights) if plan.weights and entry.backbone else None
    done: dict[str, StageJob] = {}
    for stage in entry.method.stages(entry.options):
        if stage.fit is not None and dataset.train is None:
            raise HarnessError(f"{dataset.spec.name} has no base classes to train {entry.label} on: train on another "
                               f"dataset, with --test-dataset {source.dataset}")  # fmt: skip
        parent = done[stage.parent] if stage.parent else None
        selects = dataset.val is not None and options.get("selection") == "best-val" and "selection" in stage.reads
        identity = StageIdentity(
            method=entry.method.name,
            stage=stage.name,
            version=stage.version,
            options={name: options[name] for name in stage.reads},
            parent=parent.key if parent else None,
            data=dataset.train.fingerprint if dataset.train else "",
            validation=f"{dataset.val.fingerprint} {entry.method.head if selects else ''}" if dataset.val else None,
            pixels=_pixels(dataset.spec),
            backbone=entry.backbone,
            weights=_file_digest(weights) if weights else None,
            seed=seed,
            precision=plan.precision,
        )
        done[stage.name] = StageJob(
            label=entry.label,
            method=entry.method.name,
            stage=stage.name,
            options=options,
            backbone=entry.backbone,
            weights=weights,
            head=entry.head,
            seed=seed,
            depth=parent.depth + 1 if parent else 0,
            identity=identity,
            folder=identity.folder(output, source.dataset),
            parent_folder=parent.folder if parent else None,
            source=source,
            protocol=protocol,
            machine=machine,
            classifier_version=version,
        )
        yield done[stage.name]


def _pixels(spec: DatasetSpec) -> Mapping[str, Any]:
    return {
        "image_size": spec.image_size, "channels": spec.channels, "mean": list(spec.mean), "std": list(spec.std),
        "augmentation": asdict(spec.augmentation),
    }  # fmt: skip


def _file_digest(path: Path) -> str:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunsError(f"cannot read the weights {path}: {error.strerror}") from None

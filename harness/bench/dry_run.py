"""What a bench would do, and how long that takes, from what its run folder holds. Nothing is trained or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness import runs
from harness.bench.bench import written_folders
from harness.bench.events import BenchStarted, Observe
from harness.bench.opening import OpenBench, open_bench
from harness.bench.past import Kind, Past, machine_of
from harness.bench.unread import unread_options
from harness.execution.events import Note
from harness.hardware.hardware import choose_hardware
from harness.hardware.request import HardwareRequest
from harness.runs import StageFolder
from harness.runs.locking import is_free
from harness.runs.log import StageLog

if TYPE_CHECKING:
    from harness.bench.table import BenchTable
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.executor import Executor
    from harness.execution.job import StageJob
    from harness.runs.records import BenchRecord

# kept: all of it is on disk; shared: an earlier stage of the bench is the very same; score: it is trained; resume: a
# part of its training is on disk; missing: it, or what it is trained from, is not trained and is not to be.
Work = Literal["kept", "shared", "score", "resume", "train", "missing"]


@dataclass(frozen=True, eq=False)
class ForetoldStage:
    """A stage of a bench, and what would become of it."""

    job: StageJob
    work: Work
    seconds: float | None = 0.0  # that it takes; None: unknown
    n_bytes: int | None = 0  # that it adds to the run folder; None: unknown
    same_as: str = ""  # of "shared": the stage that it is
    after: str = ""  # of "resume": how far it is
    failed: bool = False  # it was tried before, and failed
    busy: bool = False  # another process is at work on it now
    untaught: bool = False  # of "score": there is nothing to train, and its learner is not on disk either


@dataclass(frozen=True)
class DryRun:
    """What a bench would do."""

    output: Path
    tables: Sequence[BenchTable]
    stages: Sequence[ForetoldStage]  # in order, each after its parents
    machine: Mapping[str, str] | None  # that its stages would run on, as conditions; None: a cluster
    at_once: int  # stages side by side

    @property
    def unknown(self) -> int:
        """Stages of which nothing says how long they take."""
        return sum(stage.seconds is None for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of the whole, as far as it is known: stages begin in order, each after its parents, where there is room."""
        if self.at_once == 1:
            return sum(stage.seconds or 0.0 for stage in self.stages)
        lanes = [0.0] * self.at_once
        ends: dict[str, float] = {}  # by key
        waiting = [stage for stage in self.stages if stage.seconds != 0.0]
        while waiting:
            begins = [max([0.0, *(ends.get(key, 0.0) for key in _before(stage.job))]) for stage in waiting]
            free = min(lanes)
            at = next((i for i, ready in enumerate(begins) if ready <= free), begins.index(min(begins)))
            stage, begin = waiting.pop(at), max(free, begins[at])
            lanes[lanes.index(free)] = ends[stage.job.key] = begin + (stage.seconds or 0.0)
        return max(lanes)

    @property
    def n_bytes(self) -> int:
        """That the run folder would grow by, as far as it is known."""
        return sum(stage.n_bytes or 0 for stage in self.stages)


def _before(job: StageJob) -> tuple[str, ...]:
    """The keys of the stages that must have ended before a job begins."""
    return (job.key, *job.identity.parents)


def dry_run(
    plan: BenchPlan,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    root: Path,
    observe: Observe = lambda event: None,
    earlier: BenchRecord | None = None,
    trial: bool = False,
) -> DryRun:
    """What ``bench`` would do with the same arguments; it raises what that would raise before the first training."""
    request = HardwareRequest(plan.device, plan.precision, plan.threads, plan.devices)
    executor.check(request)
    runs.could_be_written(*written_folders(output, trial))
    opened = open_bench(plan, catalogue, output, root, earlier, trial)
    observe(BenchStarted(opened.jobs, opened.tables))
    for text in dict.fromkeys(text for table in opened.tables for text in unread_options(table, {})):
        observe(Note(text))
    share = executor.share(request)
    machine = None if share is None else _machine(share[0])
    foreteller = _Foreteller(opened, machine or {"processes": str(plan.devices)})
    return DryRun(output, opened.tables, list(foreteller.stages()), machine, share[1] if share else 1)


def _machine(request: HardwareRequest) -> dict[str, str]:
    hardware = choose_hardware(request.device, request.precision, request.threads, request.devices)
    return machine_of(hardware.describe(), request.devices)


@dataclass
class _Foreteller:
    """Goes through the jobs of a bench as its schedule does."""

    opened: OpenBench
    machine: Mapping[str, str]
    past: Past = field(default_factory=Past)
    _begun: dict[str, StageJob] = field(default_factory=dict)  # key → the first job that is trained under it
    _scored: set[tuple[str, str]] = field(default_factory=set)  # keys of stages and scores that will be there
    _missing: set[str] = field(default_factory=set)
    _known: dict[tuple[Kind, bool], tuple[float | None, int | None]] = field(default_factory=dict)

    def stages(self) -> Iterator[ForetoldStage]:
        for table in self.opened.tables:
            fixed = _without_training(table)
            for job in table.jobs:
                stage = self._stage(job, table.scores(job), fixed)
                if stage.work != "missing":
                    self._scored.update((job.key, score) for score in table.scores(job))
                yield stage

    def _stage(self, job: StageJob, scores: list[str], nothing_to_train: Set[tuple[str, str]]) -> ForetoldStage:
        folder = StageFolder(job.folder)
        if folder.result(job.key, scores, job.predictions) is not None:
            return ForetoldStage(job, "kept")
        if job.key in self.opened.untrained or not self._missing.isdisjoint(job.identity.parents):
            self._missing.add(job.key)
            return ForetoldStage(job, "missing")
        first = self._begun.get(job.key)
        if first is not None and all((job.key, score) in self._scored for score in scores):
            return ForetoldStage(job, "shared", same_as=f"{first.name}")
        self._begun.setdefault(job.key, job)
        busy = not is_free(job.folder)
        if first is not None or folder.trained is not None:
            seconds, _ = self._foretell(job, trained=True)
            return ForetoldStage(job, "score", seconds, busy=busy)
        seconds, n_bytes = self._foretell(job, trained=False)
        if (job.label, job.stage) in nothing_to_train:
            return ForetoldStage(job, "score", seconds, n_bytes, busy=busy, untaught=True)
        failed = (job.folder / "failure.txt").exists()
        if any(job.folder.glob("checkpoint-*.pt")):
            after, done = _progress(job.folder)
            left = None if seconds is None else max(0.0, seconds - done)
            return ForetoldStage(job, "resume", left, n_bytes, after=after, failed=failed, busy=busy)
        return ForetoldStage(job, "train", seconds, n_bytes, failed=failed, busy=busy)

    def _foretell(self, job: StageJob, trained: bool) -> tuple[float | None, int | None]:
        """Seconds and bytes of a stage; None: unknown."""
        kind = Kind.of(job)
        if (kind, trained) not in self._known:
            seconds = self.past.seconds(kind, self.machine, trained)
            self._known[kind, trained] = seconds, self.past.n_bytes(kind)
        return self._known[kind, trained]


def _without_training(table: BenchTable) -> set[tuple[str, str]]:
    """Label and name of the stages that have nothing to train, as a floor's."""
    return {
        (entry.label, stage.name)
        for entry in table.entries
        for stage in entry.method.stages(entry.options)
        if stage.fit is None
    }


def _progress(folder: Path) -> tuple[str, float]:
    """How far a training is that did not end: in words, and how many seconds it took; nothing where no log says it."""
    epochs: list[dict[str, Any]] = [line for line in StageLog(folder).lines() if line["event"] == "epoch"]
    if not epochs:
        return "", 0.0
    last = epochs[-1]
    phase = f" of phase {last['phase']}" if last.get("phase", 1) != 1 else ""
    seconds = last.get("seconds")
    return f"epoch {last.get('epoch')}{phase}", float(seconds) if isinstance(seconds, (int, float)) else 0.0

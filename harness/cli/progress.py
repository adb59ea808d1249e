"""What a bench shows on standard error while it runs: bars on a terminal, a line a stage elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness.bench.events import BenchStarted
from harness.cli.terminal import error_console
from harness.common.text import printable
from harness.contract.results import StageFailure, StageResult
from harness.evaluation.events import EmbeddingProgress
from harness.execution.events import JobDone, JobEvent, JobStarted, Note
from harness.reports.build import stage_marks
from harness.training.events import EpochDone, TrainingProgress

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.job import StageJob


class Display:
    """Shows the events of a bench, and passes them on to plugins that want to be notified."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._console = error_console()
        self._stages = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._training = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[activity]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._live: Any = None
        self._all: TaskID | None = None
        self._bars: dict[StageJob, TaskID] = {}  # of the jobs under way
        self._broken = list(catalogue.broken)  # plugins that nothing was said of yet
        self._noted: set[str] = set()

    def __enter__(self) -> Display:
        from rich.console import Group
        from rich.live import Live

        if self._console.is_terminal:
            self._live = Live(Group(self._stages, self._training), console=self._console, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._tell_broken(but=str(error))

    def __call__(self, event: Any) -> None:
        if isinstance(event, BenchStarted):
            self._tell_broken()
            self._all = self._stages.add_task("stages", total=len(event.jobs))
        elif isinstance(event, JobEvent):
            self._show_job_event(event.job, event.event)
        elif isinstance(event, Note) and event.text not in self._noted:  # a search has many benches
            self._noted.add(event.text)
            self._say(event.text)

    def _tell_broken(self, but: str = "") -> None:
        """Say once which plugins are left out, except one whose reason is told in ``but``, the error that ends it."""
        for broken in self._broken:
            if broken.reason not in but:
                self._say(f"warning: plugin {broken.plugin} is left out: {broken.reason}")
        self._broken = []

    def _show_job_event(self, job: StageJob, event: Any) -> None:
        if isinstance(event, JobStarted):
            self._bars[job] = self._training.add_task(_title(job), total=None, activity="starting")
        elif isinstance(event, JobDone):
            self._show_job_done(job, event)
        elif isinstance(event, Note):
            self._say(event.text)
        elif isinstance(event, TrainingProgress):
            activity = (
                f"epoch {event.epoch}/{event.epochs}  loss {event.loss:.3f}  {event.images_per_second:,.0f} images/s"
            )
            self._training.update(self._bars[job], completed=event.images, total=event.total_images, activity=activity)
        elif isinstance(event, EmbeddingProgress):
            activity = f"scoring: {event.done:,} of {event.total:,} images and views embedded"
            self._training.update(self._bars[job], completed=event.done, total=event.total, activity=activity)
        elif isinstance(event, EpochDone):
            self._catalogue.notify(
                "harness_epoch_done",
                self._say,
                label=job.label,
                stage=job.stage,
                seed=job.seed,
                epoch=event.epoch,
                metrics=event.metrics,
            )

    def _show_job_done(self, job: StageJob, event: JobDone) -> None:
        if job in self._bars:
            self._training.remove_task(self._bars.pop(job))
        if self._all is not None:
            self._stages.advance(self._all)
        if isinstance(event.outcome, StageFailure):
            self._say(f"{_title(job)}: FAILED: {event.outcome.error} (details: {job.folder}/failure.txt)")
        elif not event.reused:
            self._say(f"{_title(job)}: {_summary(event.outcome)}")
            for mark in stage_marks(event.outcome, job.seed):
                self._say(f"{_title(job)}: {mark.reason}")
        self._catalogue.notify(
            "harness_stage_done",
            self._say,
            label=job.label,
            stage=job.stage,
            seed=job.seed,
            result=event.outcome,
        )

    def _say(self, text: str) -> None:
        self._console.print(printable(text))


def _title(job: StageJob) -> str:
    return printable(f"{job.source.dataset} {job.name} seed {job.seed}")


def _summary(result: StageResult) -> str:
    closed = [score for score in result.scores if score.target == "closed"]
    parts = [f"{score.episodes} {100 * score.accuracies.mean():.2f} %" for score in closed]
    if not result.fit_seconds:
        return ", ".join([*parts, "nothing to train"])
    images = "unknown" if result.images_seen is None else f"{result.images_seen:,}"
    return ", ".join([*parts, f"{images} images seen in {result.fit_seconds:.0f} s"])

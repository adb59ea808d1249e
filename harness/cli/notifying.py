"""The events of a bench as the hooks that notify: for plugins, and for the trackers that ``--track`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.events import BenchStarted
from harness.contract.trackers import TrackedBench, TrackedTable
from harness.execution.events import JobDone, JobEvent, JobStarted
from harness.training.events import EpochDone

if TYPE_CHECKING:
    from harness.bench.table import BenchTable
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.job import StageJob


class Notifier:
    """Calls the hooks that notify, and starts and closes trackers."""

    def __init__(self, catalogue: Catalogue, report: Callable[[str], None]) -> None:
        """A notifier of the plugins of ``catalogue``; ``report`` is told of what fails."""
        self._catalogue = catalogue
        self._report = report
        self._trackers: Sequence[str] = ()
        self._output = Path()

    def track(self, names: Sequence[str], output: Path) -> None:
        """Have these trackers start with the bench."""
        self._trackers, self._output = tuple(names), output

    def hear(self, event: Any) -> None:
        if isinstance(event, BenchStarted):
            self._start([_tracked(table) for table in event.tables])
        elif isinstance(event, JobEvent):
            self._start([])  # a search names no bench
            self._hear_job(event.job, event.event)

    def close(self) -> None:
        """The bench has ended, or was interrupted."""
        self._catalogue.listeners.stop(self._report)

    def _start(self, tables: Sequence[TrackedTable]) -> None:
        names, self._trackers = self._trackers, ()
        bench = TrackedBench(self._output, tables)
        for name in names:
            self._catalogue.listeners.start(self._catalogue.tracker(name), bench, self._report)

    def _hear_job(self, job: StageJob, event: Any) -> None:
        if isinstance(event, JobStarted):
            settings = {"method": job.method, "backbone": job.backbone, **job.identity.options}
            self._notify("harness_stage_started", job, key=job.key, settings=settings)
        elif isinstance(event, EpochDone):
            step = event.step or event.epoch
            self._notify("harness_epoch_done", job, epoch=event.epoch, step=step, metrics=event.metrics)
        elif isinstance(event, JobDone):
            self._notify("harness_stage_done", job, result=event.outcome, reused=event.reused)

    def _notify(self, hook: str, job: StageJob, **arguments: Any) -> None:
        where = {"label": job.label, "stage": job.stage, "seed": job.seed, "dataset": job.source.dataset}
        self._catalogue.notify(hook, self._report, **where, **arguments)


def _tracked(table: BenchTable) -> TrackedTable:
    return TrackedTable(table.source.test_dataset or table.source.dataset, table.scored, table.episodes[0])

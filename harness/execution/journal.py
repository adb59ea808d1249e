"""What is kept of a stage while it is worked on: its log, and its metrics after every epoch."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.common.errors import CannotWrite
from harness.execution.events import Note, WorkStarted
from harness.runs.log import StageLog
from harness.runs.records import TrainedRecord
from harness.training.events import Continued, EpochDone, TrainingStarted

if TYPE_CHECKING:
    from harness.contract.results import Score
    from harness.execution.job import StageJob
    from harness.runs import StageFolder
    from harness.training.session import Session

METRICS_EVERY = 1.0  # seconds: a stage of thousands of short epochs rewrites metrics.csv no more often


@dataclass
class Journal:
    """Keeps what a worker does with a stage, for whoever follows it or asks later; passes events on to ``emit``."""

    job: StageJob
    folder: StageFolder
    emit: Callable[[Any], None]
    history: Callable[[], Sequence[Mapping[str, float]]] = list  # the training's metrics so far, a line an epoch
    _began: float = field(default_factory=time.perf_counter)
    _metrics_written: float = 0.0

    @property
    def log(self) -> StageLog:
        return StageLog(self.folder.path)

    def started(self, work: Literal["train", "score"], conditions: Mapping[str, str]) -> None:
        """The worker knows what it works with."""
        job, host = self.job, socket.gethostname()
        self.log.add(
            "started",
            work=work,
            label=job.label,
            method=job.method,
            stage=job.stage,
            seed=job.seed,
            dataset=job.source.dataset,
            key=job.key,
            parents=[str(parent.folder.name) for parent in job.parents],
            backbone=job.backbone,
            options=dict(job.identity.options),
            host=host,
            pid=os.getpid(),
            processes=job.machine.devices,
            **conditions,
        )
        self.emit(WorkStarted(work, host, conditions))

    def hear(self, event: Any) -> None:
        """What a training has to say."""
        if isinstance(event, TrainingStarted):
            self.log.add(
                "training", phase=event.phase, epochs=event.epochs, images=event.total_images, resumed_after=event.done
            )
        elif isinstance(event, Continued):
            self._continued(event)
            return
        elif isinstance(event, EpochDone):
            self.log.add(
                "epoch",
                phase=event.phase,
                epoch=event.epoch,
                images=event.images,
                seconds=round(event.seconds, 3),
                metrics=dict(event.metrics),
            )
            if time.perf_counter() - self._metrics_written >= METRICS_EVERY:
                self.save_metrics()
        self.emit(event)

    def _continued(self, event: Continued) -> None:
        """A shorter training of the same is there: say whether this one goes on from it."""
        self.log.add("continued", source=event.source, epochs=event.epochs, reason=event.reason)
        name = f"{self.job.name} seed {self.job.seed}"
        if event.epochs:
            text = f"{name}: goes on from epoch {event.epochs} of {event.source}, whose epochs are the first of its own"
        else:
            text = f"{name}: begins from nothing and not where the shorter {event.source} ended, since {event.reason}"
        self.emit(Note(text))

    def save_metrics(self) -> None:
        """``metrics.csv`` as far as the training has come."""
        self.folder.save_metrics(self.history())
        self._metrics_written = time.perf_counter()

    def trained(self, record: TrainedRecord) -> None:
        self.log.add(
            "trained",
            images=record.images_seen,
            seconds=round(record.fit_seconds, 3),
            flops=record.flops,
            peak_memory_bytes=record.peak_memory_bytes,
        )

    def scored(self, scores: Sequence[Score], seconds: float) -> None:
        for score in scores:
            self.log.add(
                "scored",
                episodes=str(score.episodes),
                target=score.target,
                n=len(score.accuracies),
                accuracy=float(score.accuracies.mean()),
            )
        self.log.add("ended", scoring_seconds=round(seconds, 3), seconds=self._seconds())

    def failed(self, reason: str) -> None:
        with contextlib.suppress(CannotWrite):
            if self.history():
                self.save_metrics()
        self.log.add("failed", reason=reason, seconds=self._seconds())

    def _seconds(self) -> float:
        """Since this worker took the stage up."""
        return round(time.perf_counter() - self._began, 3)


def trained_record(
    job: StageJob,
    trainer: Session | None,
    peak_memory_bytes: int | None,
    n_classes: int,
    conditions: Mapping[str, str],
) -> TrainedRecord:
    """What a training cost, and where it ran. None: unknown, as of a method's own loop that counted nothing."""
    processes = {"processes": str(job.machine.devices)} if trainer else {}
    return TrainedRecord(
        label=job.label,
        images_seen=trainer.images_seen or None if trainer else 0,
        fit_seconds=trainer.seconds if trainer else 0.0,
        flops=trainer.flops or None if trainer else 0,
        peak_memory_bytes=peak_memory_bytes if trainer else 0,
        n_classes=n_classes,
        conditions={**conditions, **processes},
    )

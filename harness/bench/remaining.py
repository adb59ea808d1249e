"""How much time is left of a bench under way: from past stages, from those done since, and from the running ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.bench.past import Kind, Past, machine_of
from harness.evaluation.events import EmbeddingProgress
from harness.execution.events import JobDone, JobStarted, WorkStarted
from harness.training.events import EpochDone, TrainingProgress, TrainingStarted

if TYPE_CHECKING:
    from harness.execution.job import StageJob


@dataclass(frozen=True)
class TimeLeft:
    """Seconds of what can be foretold, and how many stages cannot."""

    seconds: float
    unknown: int

    def __str__(self) -> str:
        if self.unknown == 0:
            return f"about {spoken(self.seconds)} left"
        if self.seconds < 1:
            return "time left unknown"
        return f"more than {spoken(self.seconds)} left"


def spoken(seconds: float) -> str:
    """A length of time in words: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 5 h``."""
    if seconds < 100:
        return f"{max(0, seconds):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(minutes / 60) if minutes >= 48 * 60 else minutes // 60
    return f"{hours} h {minutes % 60} min" if minutes < 48 * 60 else f"{hours // 24} d {hours % 24} h"


@dataclass
class _Running:
    """A stage under way: what was last foretold of it, and when."""

    began: float
    foretold: float | None = None  # seconds left at ``at``
    at: float = 0.0
    scoring_began: float | None = None
    training: bool = False  # what is embedded meanwhile are validation images


@dataclass
class Remaining:
    """The time left of a bench. It hears of its jobs' events; a stage is foretold from stages of its kind."""

    past: Past = field(default_factory=Past)
    clock: Callable[[], float] = time.monotonic
    _kinds: dict[StageJob, tuple[Kind, bool]] = field(default_factory=dict)  # and whether it is trained
    _waiting: Counter[tuple[Kind, bool]] = field(default_factory=Counter)
    _running: dict[StageJob, _Running] = field(default_factory=dict)
    _machine: dict[str, str] | None = None  # unknown until a worker says it
    _cached: TimeLeft | None = None  # of what waits

    def begin(self, jobs: Sequence[StageJob]) -> None:
        """A bench begins, with these jobs."""
        self._kinds, self._waiting = {}, Counter()
        self._running, self._cached = {}, None
        for job in jobs:
            self._await(job)

    def _await(self, job: StageJob) -> None:
        kind = self._kinds[job] = Kind.of(job), (job.folder / "trained.json").exists()
        self._waiting[kind] += 1

    def hear(self, job: StageJob, event: Any) -> None:
        """Something of a job, which ``begin`` need not have named: a search finds its jobs as it goes."""
        now = self.clock()
        if job not in self._kinds:
            self._await(job)
        if isinstance(event, JobStarted):
            self._waiting[self._kinds[job]] -= 1
            self._running[job] = _Running(now, self._foretell(*self._kinds[job]), now)
            self._cached = None
        elif isinstance(event, JobDone):
            if self._running.pop(job, None) is None:
                self._waiting[self._kinds[job]] -= 1
            if not event.reused:
                self.past.add(job)
            self._cached = None
        elif running := self._running.get(job):
            self._hear_running(job, running, event, now)

    def _hear_running(self, job: StageJob, running: _Running, event: Any, now: float) -> None:
        if isinstance(event, WorkStarted):
            self._machine, self._cached = machine_of(event.conditions, job.machine.devices), None
            running.foretold, running.at = self._foretell(*self._kinds[job]), running.began
        elif isinstance(event, TrainingStarted):
            running.training = True
            if event.done:
                running.foretold = None  # a part of it is done
        elif isinstance(event, EpochDone):
            running.training = event.epochs is not None and event.epoch < event.epochs
        elif isinstance(event, TrainingProgress) and event.images_per_second > 0:
            running.training = True
            left = max(0, event.total_images - event.images) / event.images_per_second
            running.foretold, running.at = left + (self._foretell(self._kinds[job][0], True) or 0.0), now
        elif isinstance(event, EmbeddingProgress) and event.done and not running.training:
            running.scoring_began = running.scoring_began or now
            elapsed = now - running.scoring_began
            running.foretold, running.at = elapsed * (event.total - event.done) / event.done, now

    def of(self, job: StageJob) -> float | None:
        """Seconds left of a running stage; None: unknown."""
        running = self._running.get(job)
        if running is None or running.foretold is None:
            return None
        return max(0.0, running.foretold - (self.clock() - running.at))

    def left(self) -> TimeLeft:
        """Of the whole bench, as many stages side by side as run now."""
        waiting = self._left_waiting()
        running = [self.of(job) for job in list(self._running)]
        known = [seconds for seconds in running if seconds is not None]
        at_once = max(1, len(running))
        seconds = max([(waiting.seconds + sum(known)) / at_once, *known])
        return TimeLeft(seconds, waiting.unknown + len(running) - len(known))

    def _left_waiting(self) -> TimeLeft:
        if self._cached is None:
            seconds, unknown = 0.0, 0
            for (kind, trained), count in self._waiting.items():
                one = self._foretell(kind, trained) if count > 0 else None
                seconds += count * (one or 0.0)
                unknown += count if one is None else 0
            self._cached = TimeLeft(seconds, unknown)
        return self._cached

    def _foretell(self, kind: Kind, trained: bool) -> float | None:
        """Seconds of a stage; None: unknown, as everything is until a worker has said what machine it is on."""
        return None if self._machine is None else self.past.seconds(kind, self._machine, trained)

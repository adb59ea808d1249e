"""Which jobs of a bench are left, and which of them can begin."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobDone, JobEvent
from harness.runs import StageFolder

if TYPE_CHECKING:
    from harness.bench.events import Observe
    from harness.bench.table import BenchTable
    from harness.execution.job import StageJob


class Schedule:
    """Which jobs are left, and which of them can begin: those whose parents are done."""

    def __init__(self, tables: Sequence[BenchTable], observe: Observe, untrained: Set[str] = frozenset()) -> None:
        self._tables = {job: table for table in tables for job in table.jobs}
        self._waiting = list(self._tables)
        self._running: set[str] = set()  # keys: a stage is never trained twice at once
        self._reasons: dict[tuple[BenchTable, str], str] = {}  # table and key of what failed → why its children did
        self._observe = observe
        self._untrained = untrained  # keys of what is not to be trained now

    def ready(self) -> StageJob | None:
        """The first job that can begin and has something to do; None: there is none now."""
        undone = set(self._running)
        for job in list(self._waiting):
            if undone.isdisjoint({job.key, *job.identity.parents}):
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
        return StageFolder(job.folder).result(job.key, self._tables[job].scores(job), job.predictions)

    def _blocked(self, job: StageJob) -> StageFailure | None:
        if job.key in self._untrained:
            return StageFailure(job.key, "it is not trained: run its bench again")
        table = self._tables[job]
        reasons = [self._reasons[table, key] for key in job.identity.parents if (table, key) in self._reasons]
        if not reasons:
            return None
        reason = reasons[0]
        self._reasons[table, job.key] = reason  # its own children name the first that failed
        return StageFailure(job.key, reason)

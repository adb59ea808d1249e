"""A process a stage on this machine: its peak memory is its own, and its death is a failed row, not a lost bench."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.events import JobStarted, RanksNeeded
from harness.execution import Emit, Ready
from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from harness.execution.job import Machine, StageJob


class LocalExecutor:
    """Runs each job in fresh processes, forked from a server that has torch loaded, so that they start at once."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.preload"])

    def check(self, machine: Machine) -> None:
        machine.check()

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        while (job := ready()) is not None:
            emit(job, JobStarted())
            yield job, self.run_one(job, partial(emit, job))

    def run_one(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        """What became of ``job``; what it has to say meanwhile goes to ``emit``."""
        receiver, sender = self._context.Pipe(duplex=False)
        worker = self._context.Process(target=_work, args=(job, sender), name=job.name)
        worker.start()
        sender.close()
        others: list[Any] = []  # the processes that train along, if the job asks for any
        outcome: StageResult | StageFailure | None = None
        try:
            while True:
                ready = multiprocessing.connection.wait([receiver, *(other.sentinel for other in others)])
                if any(other.exitcode for other in others):
                    break
                others = [other for other in others if other.exitcode is None]
                if receiver not in ready:
                    continue
                try:
                    event = receiver.recv()
                except EOFError:
                    break
                if isinstance(event, RanksNeeded):
                    others = [
                        self._context.Process(target=_join, args=(job, rank, event.port), name=f"{job.name} {rank}")
                        for rank in range(1, job.machine.devices)
                    ]
                    for other in others:
                        other.start()
                elif isinstance(event, (StageResult, StageFailure)):
                    outcome = event
                else:
                    emit(event)
        finally:
            if outcome is None:
                worker.terminate()
            for other in others:
                other.terminate()
            for process in (worker, *others):
                process.join()
        return outcome or StageFailure(job.key, _death(worker.exitcode, [other.exitcode for other in others]))

    def close(self) -> None:
        """The fork server ends with this process."""


def _work(job: StageJob, sender: Connection) -> None:
    _obey_parent()
    from harness.execution.work import run_job
    from harness.plugins import Catalogue

    sender.send(run_job(job, Catalogue.discover(), sender.send))


def _join(job: StageJob, rank: int, port: int) -> None:
    _obey_parent()
    from harness.execution.work import join_job
    from harness.plugins import Catalogue

    join_job(job, Catalogue.discover(), rank, port)


def _obey_parent() -> None:
    """A worker must not outlive a bench that was killed, for its lock would hold up the next; Ctrl-C is the bench's."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _death(exit_code: int | None, others: list[int | None]) -> str:
    if any(code not in (None, 0, -signal.SIGTERM) for code in others):
        return "a process that trained along ended before its time"
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", which is how Linux ends a process when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with status {exit_code} before it had a result"

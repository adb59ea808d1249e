"""A process a stage on this machine: its peak memory is its own, and its death is a failed row, not a lost bench."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.common.errors import one_line
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobStarted, RanksNeeded
from harness.execution.executor import Emit, Ready
from harness.runs import StageFolder

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest

EXIT_SECONDS = 10  # for a process to end after it has closed its line


class LocalExecutor:
    """Runs each job in fresh processes, forked from a server that has torch loaded, so that they start at once."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.preload"])

    def check(self, machine: HardwareRequest) -> None:
        machine.check()

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        while (job := ready()) is not None:
            emit(job, JobStarted())
            yield job, self.run_one(job, partial(emit, job))

    def run_one(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        """What became of ``job``; what it has to say meanwhile goes to ``emit``."""
        heard: dict[Connection, ForkServerProcess] = {}  # the worker, then those that train along
        worker = self._start(heard, _work, job)
        started, outcome = [worker], None
        try:
            while outcome is None:
                event, process = _next_event(heard)
                if isinstance(event, RanksNeeded):
                    ranks = range(1, job.machine.devices)
                    started += [self._start(heard, _join, job, rank, event.port) for rank in ranks]
                elif isinstance(event, (StageResult, StageFailure)):
                    outcome = event  # the first: where one process fails, the others do
                elif event is not None:
                    emit(event)
                elif process is worker or process.exitcode:
                    outcome = StageFailure(job.key, _death(process.exitcode, process is worker))
        finally:
            for each in started:
                if each is not worker or outcome is None or process is not worker:
                    each.terminate()
                each.join()
        if isinstance(outcome, StageFailure) and (process is not worker or event is None):  # it wrote nothing itself
            StageFolder(job.folder).save_failure(outcome.details or outcome.error)
        return outcome

    def _start(self, heard: dict[Connection, ForkServerProcess], work: Callable[..., None], *about: Any) -> Any:
        """A new process that does ``work(*about, sender)``; where it is heard is added to ``heard``."""
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(*about, sender), name=about[0].name)
        process.start()
        sender.close()
        heard[receiver] = process
        return process

    def close(self) -> None:
        """The fork server ends with this process."""


def _next_event(heard: dict[Connection, ForkServerProcess]) -> tuple[Any, ForkServerProcess]:
    """What a process says next, and which; None once it is over, which is then heard no more."""
    connection = multiprocessing.connection.wait(list(heard))[-1]
    assert isinstance(connection, multiprocessing.connection.Connection)
    try:
        return connection.recv(), heard[connection]
    except EOFError:
        process = heard.pop(connection)
        process.join(EXIT_SECONDS)
        return None, process


def _work(job: StageJob, sender: Connection) -> None:
    _start_work()
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.work import run_job

    sender.send(run_job(job, Catalogue.discover(), sender.send))


def _join(job: StageJob, rank: int, port: int, sender: Connection) -> None:
    _start_work()
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.work import join_job

    try:
        join_job(job, Catalogue.discover(), rank, port)
    except (Exception, SystemExit) as error:
        sender.send(StageFailure(job.key, one_line(error), traceback.format_exc()))


def _start_work() -> None:
    """A worker must not outlive a bench that was killed, for its lock would hold up the next; Ctrl-C is the bench's.

    Whatever it prints goes to standard error: standard output is for tables.
    """
    with contextlib.suppress(OSError):
        os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _death(exit_code: int | None, alone: bool) -> str:
    process = "its process" if alone else "a process that trained along"
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", which is how Linux ends a process when memory runs out" if name == "SIGKILL" else ""
        return f"{process} was ended by {name}{hint}"
    return f"{process} ended with status {exit_code} before it had a result"

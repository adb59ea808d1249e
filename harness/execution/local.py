"""A process a stage on this machine: its peak memory is its own, and its death is a failed row, not a lost bench."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.common.errors import CannotWrite, one_line
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobStarted, RanksNeeded
from harness.execution.lifeline import end_worker_with_bench, start_server
from harness.execution.main_module import hidden_main_module
from harness.runs import StageFolder

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    from harness.execution.executor import Emit, Ready
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
        processes = JobProcesses(self._context, job)
        try:
            outcome = processes.first_outcome(emit)
        finally:
            processes.stop()
        if isinstance(outcome, StageFailure) and not processes.worker_reported:
            with contextlib.suppress(CannotWrite):
                StageFolder(job.folder).save_failure(outcome.details or outcome.error)
        return outcome

    def close(self) -> None:
        """The fork server ends with this process."""


class JobProcesses:
    """The worker of one job and the processes that train along with it, which say what they do through pipes."""

    def __init__(self, context: ForkServerContext, job: StageJob) -> None:
        self._context = context
        self._job = job
        self._processes: dict[Connection, ForkServerProcess] = {}  # by the pipe that each still speaks through
        self._started: list[ForkServerProcess] = []
        self._worker = self._start(_work, job)
        self.worker_reported = False  # the worker gave the outcome itself, and so has written its failure down

    def first_outcome(self, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        """What the first process to end with an outcome says of the job: where one of them fails, the others do."""
        while True:
            message, process = self._next_message()
            if isinstance(message, RanksNeeded):
                for rank in range(1, self._job.machine.devices):
                    self._start(_join_training, self._job, rank, message.port)
            elif isinstance(message, (StageResult, StageFailure)):
                self.worker_reported = process is self._worker
                return message
            elif message is not None:
                emit(message)
            elif process is self._worker or process.exitcode:
                return StageFailure(self._job.key, _describe_death(process.exitcode, process is self._worker))

    def stop(self) -> None:
        """End all processes; only a worker that has given its outcome ends by itself."""
        for process in self._started:
            if process is not self._worker or not self.worker_reported:
                process.terminate()
            process.join()

    def _start(self, work: Callable[..., None], *arguments: Any) -> ForkServerProcess:
        """A new process that does ``work(*arguments, sender)``."""
        receiver, sender = self._context.Pipe(duplex=False)
        start_server()
        process = self._context.Process(target=work, args=(*arguments, sender), name=self._job.name)
        with hidden_main_module():
            process.start()
        sender.close()
        self._processes[receiver] = process
        self._started.append(process)
        return process

    def _next_message(self) -> tuple[Any, ForkServerProcess]:
        """What a process says next, and which; None as its last message once it has closed its pipe."""
        connection = multiprocessing.connection.wait(list(self._processes))[-1]
        assert isinstance(connection, multiprocessing.connection.Connection)
        try:
            return connection.recv(), self._processes[connection]
        except EOFError:
            process = self._processes.pop(connection)
            process.join(EXIT_SECONDS)
            return None, process


def _work(job: StageJob, sender: Connection) -> None:
    _start_work()
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.work import run_job

    sender.send(run_job(job, Catalogue.discover(), sender.send))


def _join_training(job: StageJob, rank: int, port: int, sender: Connection) -> None:
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
    end_worker_with_bench()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _describe_death(exit_code: int | None, alone: bool) -> str:
    process = "its process" if alone else "a process that trained along"
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", which is how Linux ends a process when memory runs out" if name == "SIGKILL" else ""
        return f"{process} was ended by {name}{hint}"
    return f"{process} ended with status {exit_code} before it had a result"

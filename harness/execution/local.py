"""A process a stage on this machine: its peak memory is its own, and its death is a failed row, not a lost bench.

Several stages may run side by side. Each has its share of the cores as threads, so that its numbers are those of
another bench with as many threads a stage.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.common.errors import CannotWrite, HarnessError, one_line
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobStarted, RanksNeeded
from harness.execution.lifeline import end_worker_with_bench, start_server
from harness.execution.main_module import hidden_main_module
from harness.hardware.sharing import on_gpu, room_at_once
from harness.hardware.threads import n_cores
from harness.runs import StageFolder

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    from harness.execution.executor import Emit, Ready
    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest

EXIT_SECONDS = 10  # for a process to end after it has closed its line


class LocalExecutor:
    """Runs each job in fresh processes, forked from a server that has torch loaded, so that they start at once.

    Args:
        at_once: how many stages run side by side; None: as many as cores and memory are enough for.
    """

    def __init__(self, at_once: int | None = 1) -> None:
        self._at_once = at_once
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.preload"])

    def check(self, machine: HardwareRequest) -> None:
        machine.check()
        if machine.devices > 1 and self._at_once != 1:
            raise HarnessError("--devices above 1 trains one stage at a time: drop --at-once")

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        running: dict[StageJob, JobProcesses] = {}
        leaving: list[JobProcesses] = []  # those that gave their outcomes end while the next ones start
        try:
            while True:
                self._start_jobs(running, ready, emit)
                if not running:
                    return
                by_pipe: dict[Any, StageJob] = {}
                for job, processes in running.items():
                    by_pipe.update(dict.fromkeys(processes.pipes, job))
                for pipe in multiprocessing.connection.wait(list(by_pipe)):
                    job = by_pipe[pipe]
                    if job in running and (outcome := running[job].hear(pipe, partial(emit, job))) is not None:
                        for processes in leaving:
                            processes.stop()
                        leaving = [_end(running.pop(job), job, outcome)]
                        yield job, outcome
        finally:
            for processes in (*running.values(), *leaving):
                processes.stop()

    def run_one(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        """What became of ``job``; what it has to say meanwhile goes to ``emit``."""
        jobs = iter([job])
        [(_, outcome)] = self.run(lambda: next(jobs, None), lambda _, event: emit(event))
        return outcome

    def _start_jobs(self, running: dict[StageJob, JobProcesses], ready: Ready, emit: Emit) -> None:
        """Start jobs until as many run as may, or none is ready."""
        while (not running or len(running) < self._room(next(iter(running)).machine)) and (job := ready()) is not None:
            emit(job, JobStarted())
            machine, _ = self.share(job.machine)
            running[job] = JobProcesses(self._context, replace(job, machine=machine))

    def share(self, machine: HardwareRequest) -> tuple[HardwareRequest, int]:
        n_jobs = self._room(machine)
        if machine.threads is None and n_jobs > 1:
            machine = replace(machine, threads=max(1, n_cores() // n_jobs))
        return machine, n_jobs

    def _room(self, machine: HardwareRequest) -> int:
        """How many jobs on such a machine run side by side."""
        if self._at_once is None:
            self._at_once = room_at_once(machine)
        return self._at_once

    def close(self) -> None:
        """The fork server ends with this process."""


class JobProcesses:
    """The worker of one job and the processes that train along with it, which say what they do through pipes."""

    def __init__(self, context: ForkServerContext, job: StageJob) -> None:
        self._context = context
        self._job = job  # with the threads that it is to use
        self._processes: dict[Connection, ForkServerProcess] = {}  # by the pipe that each still speaks through
        self._started: list[ForkServerProcess] = []
        self._worker = self._start(_work, job)
        self.worker_reported = False  # the worker gave the outcome itself, and so has written its failure down

    @property
    def pipes(self) -> list[Connection]:
        """Those that a process still speaks through."""
        return list(self._processes)

    @property
    def ends_by_itself(self) -> bool:
        """Whether nothing is left of them but a worker that has given its outcome."""
        return self.worker_reported and len(self._started) == 1

    def hear(self, pipe: Any, emit: Callable[[Any], None]) -> StageResult | StageFailure | None:
        """What is said next through a pipe: the job's outcome, or None where it goes on.

        The first process to end with an outcome decides: where one of them fails, the others do.
        """
        message, process = self._next_message(pipe)
        if isinstance(message, RanksNeeded):
            for rank in range(1, self._job.machine.devices):
                self._start(_join_training, self._job, rank, message.port)
        elif isinstance(message, (StageResult, StageFailure)):
            self.worker_reported = process is self._worker
            return message
        elif message is not None:
            emit(message)
        elif process is self._worker or process.exitcode:
            return StageFailure(self._job.key, _describe_death(process.exitcode, process is self._worker), died=True)
        return None

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

    def _next_message(self, connection: Connection) -> tuple[Any, ForkServerProcess]:
        """What a process says next, and which; None as its last message once it has closed its pipe."""
        try:
            return connection.recv(), self._processes[connection]
        except EOFError:
            process = self._processes.pop(connection)
            process.join(EXIT_SECONDS)
            return None, process


def _end(processes: JobProcesses, job: StageJob, outcome: StageResult | StageFailure) -> JobProcesses:
    """End the processes of a job but a worker that ends by itself; keep why it failed where its worker could not.

    A worker on a GPU is waited for, since the next one is to find its memory free.
    """
    if on_gpu(job.machine) or not processes.ends_by_itself:
        processes.stop()
    if isinstance(outcome, StageFailure) and not processes.worker_reported:
        with contextlib.suppress(CannotWrite):
            StageFolder(job.folder).save_failure(outcome.details or outcome.error)
    return processes


def _work(job: StageJob, sender: Connection) -> None:
    _start_work()
    from harness.execution import plugins
    from harness.execution.work import run_job

    sender.send(run_job(job, plugins.catalogue(), sender.send))


def _join_training(job: StageJob, rank: int, port: int, sender: Connection) -> None:
    _start_work()
    from harness.execution import plugins
    from harness.execution.work import join_job

    try:
        join_job(job, plugins.catalogue(), rank, port)
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

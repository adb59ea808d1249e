"""A process a stage on this machine: its peak memory is its own, and its death is a failed row, not a lost bench."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from harness.execution.job import StageJob


class LocalExecutor:
    """Runs each job in fresh processes, forked from a server that has torch loaded, so that they start at once."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.execution.preload"])

    def run(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        receiver, sender = self._context.Pipe(duplex=False)
        ranks = job.machine.devices
        port = _free_port() if ranks > 1 else 0
        workers = [
            self._context.Process(
                target=_work, args=(job, sender if rank == 0 else None, rank, port), name=f"{job.name} {rank}"
            )
            for rank in range(ranks)
        ]
        for worker in workers:
            worker.start()
        sender.close()
        outcome: StageResult | StageFailure | None = None
        try:
            while True:
                try:
                    event = receiver.recv()
                except EOFError:
                    break
                if isinstance(event, (StageResult, StageFailure)):
                    outcome = event
                else:
                    emit(event)
        finally:
            if outcome is None or isinstance(outcome, StageFailure):
                for worker in workers:
                    worker.terminate()
            for worker in workers:
                worker.join()
        return outcome or StageFailure(job.key, _death(workers[0].exitcode))

    def close(self) -> None:
        """The fork server ends with this process."""


def _work(job: StageJob, sender: Connection | None, rank: int, port: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends this process
    if port:
        os.environ.update(
            {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job.machine.devices),
             "LOCAL_WORLD_SIZE": str(job.machine.devices), "NODE_RANK": "0",
             "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        )  # fmt: skip
    from harness.execution.job import run_job
    from harness.plugins import Catalogue

    def emit(event: Any) -> None:
        if sender is not None:
            sender.send(event)

    emit(run_job(job, Catalogue.discover(), emit))


def _end_with_parent() -> None:
    """A worker must not outlive a bench that was killed: its lock would hold up the next."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", which is how Linux ends a process when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with status {exit_code} before it had a result"

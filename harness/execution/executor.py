"""Where the work of a bench runs: what every executor does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness.contract.results import StageFailure, StageResult
    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest


Ready = Callable[[], "StageJob | None"]

Emit = Callable[["StageJob", Any], None]


class Executor(Protocol):
    """Runs jobs somewhere."""

    def check(self, machine: HardwareRequest) -> None:
        """Raise HarnessError where there is no such machine."""

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        """Jobs and what became of them, until all are done.

        Args:
            ready: gives a job that can begin now, or None. After each outcome that this iterator has given there may
                be more.
            emit: is told, in this process, what a job has to say while it runs: first that it has started.
        """

    def share(self, machine: HardwareRequest) -> tuple[HardwareRequest, int] | None:
        """What one of such jobs runs on, and how many run side by side; None: unknown beforehand, as on a cluster."""

    def close(self) -> None:
        """Let go of whatever is held for further jobs."""

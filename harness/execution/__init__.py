"""Where the work of a bench runs. An executor takes the jobs that can begin and hands back what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from harness.common.errors import UnknownName
from harness.contract.results import StageFailure, StageResult

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
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

    def close(self) -> None:
        """Let go of whatever is held for further jobs."""


EXECUTORS = ("local", "inline", "ray")


def make_executor(name: str, catalogue: Catalogue) -> Executor:
    """The executor of that name.

    ``local``: a process a stage, one after the other; ``inline``: in this process, for debugging; ``ray``: a process a
    stage, as many at a time as a Ray cluster has room for.
    """
    if name == "local":
        from harness.execution.local import LocalExecutor

        return LocalExecutor()
    if name == "inline":
        from harness.execution.inline import InlineExecutor

        return InlineExecutor(catalogue)
    if name == "ray":
        from harness.execution.ray import RayExecutor

        return RayExecutor()
    raise UnknownName("executor", name, EXECUTORS, "Executors")

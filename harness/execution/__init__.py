"""Where the work of a bench runs. An executor takes one job after the other and hands back what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import UnknownName
from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from harness.execution.job import StageJob
    from harness.plugins import Catalogue


class Executor(Protocol):
    """Runs jobs somewhere."""

    def run(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        """What became of ``job``; its progress goes to ``emit`` in this process while it runs."""

    def close(self) -> None:
        """Let go of whatever is held for further jobs."""


EXECUTORS = ("local", "inline")


def make_executor(name: str, catalogue: Catalogue) -> Executor:
    """The executor of that name: ``local``, a process a stage; ``inline``, in this process, for debugging."""
    if name == "local":
        from harness.execution.local import LocalExecutor

        return LocalExecutor()
    if name == "inline":
        from harness.execution.inline import InlineExecutor

        return InlineExecutor(catalogue)
    raise UnknownName("executor", name, EXECUTORS, "Executors")

"""The executors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.errors import UnknownName

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.executor import Executor


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

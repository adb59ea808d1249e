"""The executors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.executor import Executor


EXECUTORS = ("local", "inline", "ray")


def make_executor(name: str, catalogue: Catalogue, at_once: str | int = 1) -> Executor:
    """The executor of that name.

    ``local``: a process a stage; ``inline``: in this process, for debugging; ``ray``: a process a stage, as many at a
    time as a Ray cluster has room for.

    Args:
        at_once: how many stages run side by side on this machine, or share a GPU of the cluster; "auto": as many as
            this machine has room for.
    Raises:
        HarnessError: no such executor, or ``at_once`` is no such number or not for it.
    """
    n_jobs = _number(at_once)
    if name == "local":
        from harness.execution.local import LocalExecutor

        return LocalExecutor(n_jobs)
    if name == "inline":
        from harness.execution.inline import InlineExecutor

        if n_jobs != 1:
            raise HarnessError("--executor inline is one process: for --at-once use --executor local")
        return InlineExecutor(catalogue)
    if name == "ray":
        from harness.execution.ray import RayExecutor

        if n_jobs is None:
            raise HarnessError("--executor ray takes as many stages as the cluster has room for: drop --at-once auto")
        return RayExecutor(n_jobs)
    raise UnknownName("executor", name, EXECUTORS, "Executors")


def _number(at_once: str | int) -> int | None:
    """None where it is "auto"."""
    if at_once == "auto":
        return None
    if not str(at_once).isdigit() or int(at_once) < 1:
        raise HarnessError(f"--at-once {at_once!r}: a number of stages, 1 or more, or auto")
    return int(at_once)

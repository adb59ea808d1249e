"""The plugins that a worker finds: those that its fork server has loaded, unless others were installed since."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.catalogue.catalogue import GROUP, Catalogue
from harness.execution.lifeline import die_with

if TYPE_CHECKING:
    from collections.abc import Callable

FORKABLE = 71  # an exit status that no plugin ends with by chance

_loaded: tuple[frozenset[tuple[str, str, str]], Catalogue] | None = None  # what was installed, and the catalogue of it


def load() -> None:
    """Called by the fork server. Import what is installed, unless that makes a process that cannot be forked.

    Threads and a GPU's context do not survive a fork. So a child tries it first; where it starts a thread or a process,
    touches a GPU or ends, each worker loads the plugins for itself.
    """
    global _loaded
    if _tried_in_child() == FORKABLE:
        _loaded = _installed(), Catalogue.discover()


def catalogue() -> Catalogue:
    """Called by a worker."""
    if _loaded is None:
        return Catalogue.discover()
    before, loaded = _loaded
    if before != (now := _installed()):
        tops = {value.partition(":")[0].partition(".")[0] for _, value, _ in before | now}
        for module in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[module]  # of what was there, which may be another version
        return Catalogue.discover()
    return loaded


def _installed() -> frozenset[tuple[str, str, str]]:
    """Of each plugin its name, its module, and where it is installed."""
    return frozenset(
        (entry.name, entry.value, str(entry.dist.locate_file("")) if entry.dist else "")
        for entry in importlib.metadata.entry_points(group=GROUP)
    )


def _tried_in_child() -> int:
    """How a child ended that loaded the plugins."""
    if sys.platform != "linux":  # nothing tells how many threads there are
        return 1
    server = os.getpid()
    try:
        return _status_of(lambda: _try(server))
    except OSError:  # no process can be had, or waited for: a parent may have SIGCHLD ignored
        return 1


def _status_of(work: Callable[[], int]) -> int:
    """With what status a child ends that does ``work``; 1 where that raises."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os._exit(work())
    finally:
        os._exit(1)


def _try(server: int) -> int:
    die_with(server)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    Catalogue.discover()
    started = [
        int(process) for path in Path("/proc/self/task").glob("*/children") for process in path.read_text().split()
    ]
    for process in started:  # by a plugin, which starts another in the bench
        os.kill(process, signal.SIGTERM)
    return FORKABLE if not started and _can_be_forked() else 1


def _can_be_forked() -> bool:
    """Whether there is no other thread, and a child may still use a GPU."""
    import torch

    return len(os.listdir("/proc/self/task")) == 1 and _status_of(torch.cuda._is_in_bad_fork) == 0

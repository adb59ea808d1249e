"""Locks of stage folders that are never waited for: what is at work there is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"  # in a stage's folder; held while the stage is trained or scored


@contextmanager
def held_if_free(folder: Path) -> Iterator[bool]:
    """Inside, the stage's lock is held: True. False where another process holds it, or it cannot be taken."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_free(folder: Path) -> bool:
    """Whether no process is at work on the stage now. A stage that nobody has locked yet is free."""
    if not (folder / LOCK).exists():
        return True
    with held_if_free(folder) as free:
        return free

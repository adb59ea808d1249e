"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness.common.bounds import TooMuch, bounded
from harness.common.errors import RunsError


def atomic_write(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let ``write`` fill the file ``path``. Killed at any moment, the old file or the new one is there, whole.

    Where ``path`` is a link, the file it leads to; where it is a device or a pipe, it is written as it is.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            write(file)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # the name that was asked for
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system can (POSIX)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    atomic_write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON with sorted keys, so that equal values make equal files."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def parse_json(data: bytes) -> Any:
    """The value. Raises ValueError where it is no JSON, or holds more than ``bounded`` lets through."""
    try:
        return bounded(json.loads(data))
    except RecursionError:
        raise TooMuch("nests values far too deep") from None


def read_json(path: Path) -> Any:
    """Raises RunsError where the file cannot be read or holds something else."""
    try:
        return parse_json(path.read_bytes())
    except OSError as error:
        raise RunsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RunsError(f"{path} is damaged ({error}). Delete it and run the same command again") from None


def remove_unfinished(folder: Path) -> None:
    """Delete what a process that was killed in ``atomic_write`` left in ``folder``. No other may write there now."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)

"""Files that are whole or absent: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness.common.bounds import TooMuch, bounded
from harness.common.errors import CannotWrite, RunsError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def atomic_write(path: Path, write: Callable[[IO[bytes]], Any], size: int | None = None, lasting: bool = True) -> None:
    """Let ``write`` fill the file ``path``. Killed at any moment, the old file or the new one is there, whole.

    Where ``path`` is a link, the file it leads to; where it is a device or a pipe, it is written as it is.

    Args:
        size: in bytes, where it is known before.
        lasting: whether it is there after a power cut, too; else only once a later file of its folder is.
    Raises:
        CannotWrite: there is no room for it.
        OSError: it cannot be written for another reason.
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
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise cannot_write(path, error, size) from None
        raise
    if lasting:
        sync_folder(path.parent)


def write_kept(path: Path, *parts: bytes | memoryview, lasting: bool = True) -> None:
    """Write a file of a stage, whose folder is there since it was locked; it is not made again where it has gone.

    Args:
        lasting: as of ``atomic_write``; False of what another file of the folder, written later, speaks for.
    Raises:
        CannotWrite: there is no room, or the folder was moved, deleted, made read-only, or is another user's.
    """
    try:
        path.parent.mkdir(exist_ok=True)  # as scores/; never the folders above, which are gone where they are not there
        atomic_write(path, lambda file: file.writelines(parts), sum(map(len, parts)), lasting)
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError, size: int | None = None) -> CannotWrite:
    """Why a file cannot be written, what it needs and what there is, and what to do."""
    folder = path.parent
    if error.errno in NO_ROOM:
        needs = f"{path.name} needs {in_bytes(size)}" if size is not None else f"{path.name} does not fit"
        with contextlib.suppress(OSError):
            needs += f", {in_bytes(shutil.disk_usage(folder).free)} are free"
        reason = "no room" if error.errno == errno.ENOSPC else os.strerror(error.errno or 0).lower()
        return CannotWrite(f"{reason} in {folder}: {needs}. What is done is kept: make room, then the same command")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return CannotWrite(
            f"{folder} is gone: it was moved or deleted while it was used. What is done lies where it is now: name "
            "that folder in the same command"
        )
    return CannotWrite(f"cannot write {path}: {error.strerror}. What is done is kept: mend that, then the same command")


def in_bytes(n: int) -> str:
    """``12.3 MiB``."""
    size, units = float(n), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:,.0f} {units[0]}" if units[0] == "bytes" else f"{size:,.1f} {units[0]}"


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system can (POSIX)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    content = text.encode()
    atomic_write(path, lambda file: file.write(content), len(content))


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON with sorted keys, so that equal values make equal files."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


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

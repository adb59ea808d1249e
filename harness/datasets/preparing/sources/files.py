"""A file, wherever it lies: on disk by itself, or as a range of bytes inside an archive, packed or not."""

from __future__ import annotations

import io
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.common.errors import DataError
from harness.common.text import shortened

CHUNK = 1 << 20  # bytes read at a time
SMALL_FILE = 64 << 20  # bytes; the most that is read whole


@dataclass(frozen=True, slots=True)
class File:
    """Where its bytes are. There may be a million of these, so what many have in common is one object."""

    size: int  # bytes, unpacked
    place: str  # a folder on disk, or a file that holds these bytes and others
    member: str = ""  # the path in that folder; the name in that archive; empty where ``place`` is the file itself
    label: str = ""  # the archive's name for messages, where it is not ``place``: an archive in an archive
    loose: bool = False  # in a folder
    offset: int = 0
    packed: int = 0  # bytes, as they lie there
    deflated: bool = False
    zip_header: bool = False  # a zip's local header, of unknown length, stands at ``offset`` before the bytes
    crc: int | None = None

    @property
    def path(self) -> str:
        """The file on disk that has the bytes."""
        return os.path.join(self.place, self.member) if self.loose else self.place

    @property
    def name(self) -> str:
        """For messages: ``cifar-fs.zip: cifar100/data/apple/apple_s_000022.png``."""
        if self.loose:
            return self.path
        archive = self.label or self.place
        return f"{archive}: {shortened(self.member)}" if self.member else archive


def on_disk(path: str | Path, label: str = "") -> File:
    """A file that lies by itself."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return File(size, str(path), label=label, packed=size)


def stream(file: File) -> Iterator[bytes]:
    """The unpacked bytes, in chunks. Raises DataError where the file is damaged or holds more than it declares."""
    crc, total = 0, 0
    try:
        for chunk in _inflate(file) if file.deflated else _raw(file):
            total += len(chunk)
            if total > file.size:
                raise DataError(f"{file.name}: unpacks to more than the {file.size:,} bytes it declares")
            if file.crc is not None:
                crc = zlib.crc32(chunk, crc)
            yield chunk
    except (OSError, zlib.error) as error:
        raise DataError(f"{file.name}: cannot be read ({error}): copy or download it again") from None
    if total != file.size or (file.crc is not None and crc != file.crc):
        raise DataError(f"{file.name}: damaged (its length or checksum differs): copy or download it again")


def read(file: File, limit: int = SMALL_FILE) -> bytes:
    """All unpacked bytes of a small file."""
    if file.size > limit:
        raise DataError(f"{file.name}: {file.size:,} bytes, far more than such a file holds (at most {limit:,})")
    return b"".join(stream(file))


def stored(file: File, scratch: Path) -> File:
    """The same bytes lying unpacked: ``file`` itself, or a copy in the folder ``scratch``."""
    if not file.deflated:
        return file
    check_space(scratch, file.size, file.name)
    handle, copy = tempfile.mkstemp(dir=scratch)
    with os.fdopen(handle, "wb") as target:
        for chunk in stream(file):
            target.write(chunk)
    return on_disk(copy, file.name)


def view(file: File, scratch: Path) -> memoryview:
    """The unpacked bytes without loading them: memory-mapped, from a copy in ``scratch`` where they lie packed."""
    file = stored(file, scratch)
    start = start_of(file)
    try:
        with open(file.path, "rb") as handle:
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # mmap refuses an empty file with a ValueError
        raise DataError(f"{file.name}: empty or unreadable: copy or download it again") from None
    whole = memoryview(mapped)
    if start + file.size > len(whole):
        raise DataError(f"{file.name}: cut short: copy or download it again")
    return whole[start : start + file.size]


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raises DataError where ``needed`` bytes do not fit on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{what}: needs {needed / 1e9:,.1f} GB of disk, {free / 1e9:,.1f} GB are free in {folder}: "
            "make room or choose another --data-root"
        )


class Window(io.RawIOBase):
    """A packed-as-is file as a seekable stream, so that an archive inside an archive can be read in place."""

    def __init__(self, file: File) -> None:
        self.start, self._size, self._at = start_of(file), file.size, 0  # start: in the file on disk
        self._handle = open(file.path, "rb")  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._handle.seek(self.start + self._at)
        length = max(0, min(len(buffer), self._size - self._at))
        count = self._handle.readinto(memoryview(buffer)[:length])
        self._at += count
        return count

    def close(self) -> None:
        self._handle.close()
        super().close()


def _raw(file: File) -> Iterator[bytes]:
    with open(file.path, "rb") as handle:
        handle.seek(_data_offset(file, handle))
        left = file.packed
        while left and (chunk := handle.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk


def _inflate(file: File) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for packed in _raw(file):
        while packed:
            chunk = unpacker.decompress(packed, CHUNK)
            if chunk:
                yield chunk
            packed = unpacker.unconsumed_tail
    yield unpacker.flush()


def start_of(file: File) -> int:
    """Where its bytes begin in the file on disk."""
    with open(file.path, "rb") as handle:
        return _data_offset(file, handle)


def _data_offset(file: File, handle: IO[bytes]) -> int:
    if not file.zip_header:
        return file.offset
    handle.seek(file.offset)
    header = handle.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise DataError(f"{file.name}: damaged archive: copy or download it again")
    return file.offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")

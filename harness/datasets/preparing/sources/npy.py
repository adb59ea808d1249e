"""Arrays of numpy files, taken in blocks of rows so that a file of any size passes through a little memory."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as numpy_format

from harness.common.errors import DataError
from harness.common.text import shown, shown_shape
from harness.datasets.preparing.sources.files import File, Window, stored, stream

BLOCK = 4 << 20  # bytes of rows that are taken at once
LONGEST_HEADER = 1 << 16  # bytes
READERS = {(1, 0): numpy_format.read_array_header_1_0, (2, 0): numpy_format.read_array_header_2_0}


@dataclass(frozen=True)
class Rows:
    """An array (N, …) of uint8 in a file, not yet read."""

    file: File
    shape: tuple[int, ...]
    header: int  # bytes before the first row

    def blocks(self) -> Iterator[np.ndarray]:
        """(n, …) uint8, in order, N rows in all."""
        row = math.prod(self.shape[1:])
        per_block = max(1, BLOCK // row)
        waiting, skip, left = bytearray(), self.header, self.shape[0]
        for chunk in stream(self.file):
            waiting += chunk[skip:] if skip < len(chunk) else b""
            skip = max(0, skip - len(chunk))
            while left and len(waiting) >= min(per_block, left) * row:
                count = min(per_block, left)
                yield np.frombuffer(bytes(waiting[: count * row]), np.uint8).reshape(count, *self.shape[1:])
                del waiting[: count * row]
                left -= count
        if left or waiting:
            raise DataError(f"{self.file.name}: its length does not fit its shape {self.shape}: download it again")


def open_npz(file: File, key: str, scratch: Path) -> Rows:
    """The array ``key`` of an .npz file. Raises DataError where it is damaged, absent, or not C-ordered uint8."""
    file = stored(file, scratch)
    try:
        with Window(file) as window, zipfile.ZipFile(window) as archive:
            base = window.start
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                raise DataError(
                    f"{file.name}: holds the arrays {', '.join(map(shown, names[:8])) or 'none'}, not {key!r}"
                )
            info = archive.getinfo(f"{key}.npy" if f"{key}.npy" in archive.namelist() else key)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise DataError(f"{file.name}: packed in an unusual way: save it again with numpy.savez")
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        member = File(
            size=info.file_size,
            place=file.path,
            member=key,
            label=file.name,
            offset=base + info.header_offset,
            packed=info.compress_size,
            deflated=deflated,
            zip_header=True,
            crc=info.CRC,
        )
        return _open_npy(member)
    except DataError:
        raise
    except Exception as error:  # zipfile raises what it likes on damaged archives
        raise DataError(
            f"{file.name}: damaged .npz ({type(error).__name__}: {shown(str(error))}): copy or download it again"
        ) from None


def _open_npy(file: File) -> Rows:
    start = b""
    chunks = stream(file)
    while len(start) < LONGEST_HEADER and (chunk := next(chunks, b"")):
        start += chunk
    chunks.close()  # type: ignore[attr-defined]
    header = io.BytesIO(start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's remark on files that Python 2 wrote
            shape, fortran, dtype = READERS[numpy_format.read_magic(header)](header)
    except Exception:  # numpy raises what it likes on damaged headers
        raise DataError(
            f"{file.name}: not an array of numbers as numpy.savez writes it: copy or download it again"
        ) from None
    if dtype != np.uint8 or fortran or len(shape) < 2 or min(shape) < 1:
        order = " in Fortran order" if fortran else ""
        raise DataError(
            f"{file.name}: {shown(str(dtype))} {shown_shape(shape)}{order}, not images as uint8 (N, H, W, C)"
        )
    if header.tell() + math.prod(shape) != file.size:
        raise DataError(
            f"{file.name}: its length does not fit its shape {shown_shape(shape)}: copy or download it again"
        )
    return Rows(file, shape, header.tell())

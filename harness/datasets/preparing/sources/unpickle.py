"""Pickles by the standard library's unpickler, which gets nothing to run and nothing that grows.

A pickle is a small program that may import and call anything. So its instructions are checked first (pickle_scan.py);
strings of a kilobyte or more stay in the file, which is memory-mapped, and an array of gigabytes is a view of it; the
names in a pickle stand for makers of inert values (pickle_values.py); and the result is walked once with a bound on
its size and depth, before anything else does. Protocols 0 to 5, also as Python 2 wrote them (its strings become latin1
``str``, as in the authors' loaders).
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.bounds import TooMuch, bounded
from harness.common.errors import DataError
from harness.common.text import shown
from harness.datasets.preparing.sources.pickle_scan import (
    APPEND,
    APPENDS,
    BYTEARRAY8,
    CODES,
    DICT,
    EMPTY_DICT,
    ESCAPED,
    FRAME,
    MARK,
    QUOTED,
    STOP,
    Piece,
    Refused,
    Stack,
    scan,
)
from harness.datasets.preparing.sources.pickle_values import Array, LongString, Names, Table

LONG = 1024  # bytes of a string that stays in the file
SMALLEST_IMAGE = 57  # bytes: the parts that every PNG file has; names and types of numpy's pickles are shorter
NEW_DICT, BINBYTES8 = b"NQ", b"\x8e"  # the persistent object None; bytes instead of a bytearray


def load(data: memoryview, where: str, scratch: Path | None = None) -> Any:
    """The object in the pickle ``data``. Byte strings over 1 kB are memoryviews, arrays are views of the file.

    Args:
        where: the file's name, for messages.
        scratch: a folder for arrays that the pickle holds as text (protocol 2 of Python 3), which are large.
    Raises:
        DataError: damaged, or it holds anything but plain containers, numbers, strings and arrays, or far more of
            them, or nested deeper, than a dataset.
    """

    def finish(leaf: Any) -> Any:
        if isinstance(leaf, np.generic):
            return leaf
        if isinstance(leaf, Array | LongString):
            return leaf.finish(scratch)
        raise Refused(f"holds a {type(leaf).__name__}, which is no value")

    with _translate_errors(where):
        return bounded(_Unpickler(*_rewritten(data)).load(), finish)


def images(data: memoryview, where: str) -> Iterator[bytes | memoryview]:
    """The encoded images in a pickled list of arrays of bytes or byte strings, each a view of the file, in order.

    Nothing is loaded: in such a pickle every string of 57 bytes or more is an image, and no image is shorter.
    Raises DataError as ``load``, and where the pickle is no list or has items that are no such strings.
    """
    there = items = 0
    with _translate_errors(where):
        _refuse_other_than_list(data)
        for piece in scan(data, SMALLEST_IMAGE, Stack()):
            if piece.code in (APPEND, APPENDS):
                items += piece.end - piece.start
            elif piece.end - piece.first >= SMALLEST_IMAGE:
                there += 1
                string = _string(data, piece)
                string.as_bytes = True
                yield string.bytes(None)
        if there != items:
            raise Refused(f"lists {items:,} items and has {there:,} encoded images, each of which is to be there once")


class _Unpickler(pickle.Unpickler):
    def __init__(self, code: bytes, strings: list[LongString]) -> None:
        super().__init__(io.BytesIO(code), encoding="latin1")
        self._strings, self._names = strings, Names()

    def find_class(self, module: str, name: str) -> Any:
        return self._names.find(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """What ``_rewritten`` put references to."""
        return Table() if pid is None else self._strings[pid]


def _rewritten(data: memoryview) -> tuple[bytes, list[LongString]]:
    """The pickle with references in place of long strings and dicts, and those strings."""
    code, strings, done = bytearray(), list[LongString](), 0
    for piece in scan(data, LONG):
        code += data[done : piece.start]
        done = piece.end
        if piece.code in (EMPTY_DICT, DICT):
            code += NEW_DICT
        elif piece.code == STOP:
            code += b"."
        elif piece.code == BYTEARRAY8 and piece.end - piece.first < LONG:
            code += BINBYTES8 + data[piece.start + 1 : piece.end]
        elif piece.code != FRAME:  # whose length no longer holds
            code += b"J" + struct.pack("<i", len(strings)) + b"Q"
            strings.append(_string(data, piece))
    return bytes(code), strings


def _string(data: memoryview, piece: Piece) -> LongString:
    newline = 1 if piece.code in (QUOTED, ESCAPED) else 0
    return LongString(piece.code, data[piece.first : piece.end - newline])


def _refuse_other_than_list(data: memoryview) -> None:
    start = bytes(data[:13])
    start = start[2:] if start[:1] == b"\x80" else start
    start = start[9:] if start[:1] == b"\x95" else start
    if start[0] not in (CODES["EMPTY_LIST"], MARK):
        raise Refused("is no list of images")


@contextmanager
def _translate_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (Refused, TooMuch) as error:
        raise DataError(f"{where}: refused: the pickle {error}") from None
    except DataError:
        raise
    except Exception as error:  # the unpickler raises what it likes on damaged files
        raise DataError(
            f"{where}: damaged ({type(error).__name__}: {shown(str(error))}): copy or download it again"
        ) from None

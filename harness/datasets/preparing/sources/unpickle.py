"""Pickles without pickle: a reader that builds lists, dicts, tuples, strings, numbers and arrays, and nothing else.

A pickle is a small program. Python's own reader lets it import and call anything; this one has no instruction that
does. It reads from a memory map, so that an array of gigabytes is a view of the file and not a copy, and a list of
millions of images can be taken item by item. Protocols 0 to 5, also as Python 2 wrote them (its strings become latin1
``str``, as in the authors' loaders).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import DataError
from harness.datasets.preparing.sources.pickle_steps import STEPS
from harness.datasets.preparing.sources.pickle_values import Name, PendingArray, Refused, Text, fill

KEPT, RECENT = 10_000, 1_000  # memo entries kept while a list is taken item by item: the first ones and the last
MOST = 30_000_000  # steps of a pickle that is read whole
DEEPEST = 2_000_000  # unfinished objects at a time


def load(data: memoryview, where: str, scratch: Path | None = None) -> Any:
    """The object in the pickle ``data``. Byte strings over 1 kB are memoryviews, arrays are views of the file.

    Args:
        where: the file's name, for messages.
        scratch: a folder for arrays that the pickle holds as text (protocol 2 of Python 3), which are large.
    Raises:
        DataError: damaged, or it holds anything but plain containers, numbers, strings and arrays.
    """
    reader = Machine(data, where, scratch, streaming=False)
    for _ in reader.run():
        pass
    return reader.result


def iterate(data: memoryview, where: str) -> Iterator[Any]:
    """The items of the list in the pickle ``data``, each dropped before the next. Raises DataError as ``load``."""
    reader = Machine(data, where, None, streaming=True)
    yield from reader.run()
    if reader.result is not reader.root:
        raise DataError(f"{where}: holds a {type(reader.result).__name__}, not a list of images")


def as_bytes(item: Any) -> memoryview | None:
    """The bytes of a string, bytes object or array of bytes; None where ``item`` is nothing of the kind."""
    if isinstance(item, str):
        try:
            return memoryview(item.encode("latin1"))
        except UnicodeEncodeError:
            return None
    if isinstance(item, np.ndarray):
        plain = item.dtype.itemsize == 1 and item.size
        return np.ascontiguousarray(item).reshape(-1).view(np.uint8).data if plain else None
    return memoryview(item) if isinstance(item, bytes | memoryview) else None


class Machine:
    """The stack machine. ``stack`` holds what is being built; ``marks`` where the open containers begin."""

    def __init__(self, data: memoryview, where: str, scratch: Path | None, streaming: bool) -> None:
        self.data, self.where, self.scratch, self.streaming = data, where, scratch, streaming
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.kept: int = 0  # entries so far, forgotten ones included
        self.root: list[Any] | None = None
        self.result: Any = None

    def run(self) -> Iterator[Any]:
        """Reads to the end; yields the items of the outermost list where ``streaming``."""
        steps = 0
        try:
            while True:
                step = self.data[self.at]
                self.at += 1
                if step == 0x2E:  # STOP
                    break
                if step not in STEPS:
                    raise Refused(f"uses an instruction (0x{step:02x}, byte {self.at - 1:,}) that no dataset needs")
                STEPS[step](self)
                steps += 1
                if steps % 1024 == 0 and (len(self.stack) > DEEPEST or (steps > MOST and not self.streaming)):
                    raise Refused("holds far more objects than a dataset")
                if self.root and self.streaming:
                    items, self.root[:] = list(self.root), []
                    yield from map(_finished, items)
                    self._forget()
            self.result = _finished(self.stack.pop())
        except Refused as error:
            raise DataError(f"{self.where}: refused: the pickle {error}") from None
        except (IndexError, ValueError, TypeError, OverflowError, struct.error, LookupError, MemoryError) as error:
            raise DataError(
                f"{self.where}: damaged at byte {self.at:,} of {len(self.data):,} ({error}): copy or download it again"
            ) from None

    # ── bytes and numbers ────────────────────────────────────────────────────────────────────────

    def take(self, count: int) -> memoryview:
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> bytes:
        start = self.at
        while True:
            piece = bytes(self.data[self.at : self.at + (1 << 16)])
            if not piece:
                raise ValueError("it ends too early")
            end = piece.find(b"\n")
            self.at += len(piece) if end < 0 else end + 1
            if end >= 0:
                return bytes(self.data[start : self.at - 1])

    # ── the stack ────────────────────────────────────────────────────────────────────────────────

    def push(self, item: Any) -> None:
        self.stack.append(item)

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def new_list(self, items: list[Any]) -> None:
        if self.streaming and self.root is None and not self.stack:
            self.root = items
        self.push(items)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise Refused(f"appends to a {type(target).__name__}")
        target.extend(map(_finished, items))

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise Refused("sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes | int | float | np.generic):  # a tuple's depth may end the process
                raise Refused(f"uses a {type(key).__name__} as a key")
            target[key] = _finished(value)

    def keep(self, key: int) -> None:
        self.memo[key] = self.stack[-1]
        self.kept += 1

    def recall(self, key: int) -> None:
        self.push(self.memo[key])

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack.pop()
        filled = fill(target, state, self.scratch)
        for key in itertools.islice(reversed(self.memo), 64):  # the unfilled object was put there a few entries ago
            if self.memo[key] is target:
                self.memo[key] = filled
                break
        self.push(filled)

    def _forget(self) -> None:
        if len(self.memo) > KEPT + 2 * RECENT:
            keys = list(self.memo)
            for key in keys[KEPT:-RECENT]:
                del self.memo[key]


def _finished(item: Any) -> Any:
    if isinstance(item, Text):
        return str(item.raw, "utf-8")
    if isinstance(item, Name | PendingArray):
        raise Refused("holds an unfinished object")
    return item

"""How much a value read from a file may hold before any code walks through it.

A pickle of a few hundred bytes can describe a list that holds another ten times over, and that another, thirty levels
deep: small in memory, endless for whoever walks it as a tree. So what is read is walked once here, counting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST_VALUES = 5_000_000  # the labels of the largest dataset are half a million
DEEPEST = 32  # containers in containers
ATOMS = frozenset({str, int, float, bool, bytes, type(None)})


class TooMuch(ValueError):
    """A value holds more, or is nested deeper, than anything that the harness reads."""


def bounded(value: Any, convert: Callable[[Any], Any] = lambda leaf: leaf, most: int = MOST_VALUES) -> Any:
    """``value``, its lists and dicts the same objects, with ``convert`` applied to what is no plain value.

    Args:
        value: nested lists, tuples and dicts.
        convert: gets whatever else is in them, except strings, numbers, bytes, booleans and None.
        most: how many values may be met, one that is held twice counted twice.
    Raises:
        TooMuch: there are more, or they are nested more than 32 deep.
    """
    return _Walk(convert, most).visit(value, 0)


class _Walk:
    def __init__(self, convert: Callable[[Any], Any], most: int) -> None:
        self._convert, self._most, self._left = convert, most, most

    def visit(self, value: Any, depth: int) -> Any:
        if isinstance(value, list):
            self._enter(len(value), depth)
            for place, item in enumerate(value):
                if type(item) not in ATOMS:
                    value[place] = self.visit(item, depth + 1)
        elif isinstance(value, tuple):
            self._enter(len(value), depth)
            return tuple(item if type(item) in ATOMS else self.visit(item, depth + 1) for item in value)
        elif isinstance(value, dict):
            self._enter(2 * len(value), depth)
            for key, item in value.items():
                if type(item) not in ATOMS:
                    value[key] = self.visit(item, depth + 1)
        elif type(value) not in ATOMS:
            return self._convert(value)
        return value

    def _enter(self, size: int, depth: int) -> None:
        self._left -= size + 1
        if self._left < 0:
            raise TooMuch(f"holds more than {self._most:,} values")
        if depth >= DEEPEST:
            raise TooMuch(f"nests values more than {DEEPEST} deep")

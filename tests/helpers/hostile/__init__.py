"""Hostile files over every reader and position: ``all_cases()``; worker.py runs them."""

from __future__ import annotations

from collections.abc import Iterator

from hostile import archives, arrays, images, pickles, prepared, tables
from hostile.case import Case

__all__ = ["Case", "all_cases"]


def all_cases() -> Iterator[Case]:
    for area in (pickles, arrays, archives, tables, images, prepared):
        yield from area.cases()

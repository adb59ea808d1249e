"""A hostile file, and what the harness may make of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

RED = "\x1b[31m\x07red\x9b"  # what a terminal would obey


@dataclasses.dataclass(frozen=True)
class Case:
    """``build(folder)`` writes a source, a prepared dataset, or the one file whose path it returns."""

    name: str  # area: position: kind
    build: Callable[[Path], Path | None]
    reader: str = "prepare"  # or "folder", "prepared"
    refused: bool = False  # it must be; else reading it is as good
    heavy: bool = False  # takes seconds: left out where many tests are run

    @property
    def area(self) -> str:
        return self.name.partition(":")[0]


def damaged(name: str, data: bytes, write: Callable[[Path, bytes], Path | None], reader: str) -> Iterator[Case]:
    """The file ``data`` cut at several places, with bits flipped, and with a stretch overwritten."""

    def case(kind: str, changed: bytes) -> Case:
        return Case(f"{name}: {kind}", lambda folder: write(folder, changed), reader)

    for part in (0.0, 0.03, 0.3, 0.7, 0.98):
        yield case(f"cut at {part:.0%}", data[: int(len(data) * part)])
    for place in (0.01, 0.2, 0.5, 0.8, 0.99):
        changed = bytearray(data)
        changed[int(len(data) * place)] ^= 0x41
        yield case(f"a bit flipped at {place:.0%}", bytes(changed))
    yield case("overwritten", data[: len(data) // 3] + b"\xff" * 64 + data[len(data) // 3 + 64 :])

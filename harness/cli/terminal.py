"""What reaches the terminal: names and values from files are shown there, and none of them may command it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from harness.common.text import printable

if TYPE_CHECKING:
    from rich.console import Console


class PrintableStream:
    """A text stream whose control characters, those of colours included, are written out as ``\\x1b``."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # past which nothing is to be written
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextlib.contextmanager
def printable_output() -> Iterator[None]:
    """Inside, whatever is printed, by plugins and libraries too, goes through ``PrintableStream``."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = PrintableStream(sys.stdout), PrintableStream(sys.stderr)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def error_console() -> Console:
    """A console on standard error whose bars may move the cursor: what it prints goes through ``printable`` first."""
    from rich.console import Console

    stream = sys.stderr.stream if isinstance(sys.stderr, PrintableStream) else sys.stderr
    return Console(file=stream, highlight=False, markup=False, soft_wrap=True)

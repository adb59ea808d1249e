"""What reaches the terminal: names and values from files are shown there, and none of them may command it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer

from harness.common.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from harness.reports.model import Report


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


def print_columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output. On a terminal the last column is wrapped so that lines fit; elsewhere it is not."""
    from tabulate import tabulate

    lines = [list(row) for row in rows]
    width = terminal_width()
    if width is not None:
        before = [max(len(row[at]) for row in [header, *lines]) + 2 for at in range(len(header) - 1)]
        room = max(width - sum(before), 24)
        lines = [[*row[:-1], "\n".join(textwrap.wrap(row[-1], room)) or row[-1]] for row in lines]
    typer.echo(tabulate(lines, headers=header, tablefmt="simple", disable_numparse=True))


def print_wrapped(text: str, indent: int = 0, before: str = "") -> None:
    """A paragraph on standard output, on a terminal in lines that fit, from the second on indented by two more."""
    width, start = terminal_width(), " " * indent
    if width is None:
        typer.echo(f"{before}{start}{text}")
        return
    lines = textwrap.wrap(text, width, initial_indent=start, subsequent_indent=start + "  ", break_long_words=False)
    typer.echo(before + "\n".join(lines))


def print_report(report: Report, markdown: Callable[[Report], str]) -> None:
    """A report on standard output: on a terminal in lines that fit, elsewhere as markdown."""
    width = terminal_width()
    if width is None:
        typer.echo(markdown(report), nl=False)
        return
    from harness.reports.formats.terminal import fitting

    typer.echo(fitting(report, width), nl=False)


def terminal_width() -> int | None:
    """The columns of the terminal that standard output is, or None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

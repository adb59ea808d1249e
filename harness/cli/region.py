"""The lines at the bottom of a terminal that are drawn again and again, at whatever width it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from harness.cli.stage_view import shortened

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

WIDEST = 100  # columns: a wider line is no easier to read


class Region:
    """Lines that ``lines(width, height)`` gives for the terminal as it is now; gone when ``shown`` is left."""

    def __init__(self, console: Console, lines: Callable[[int, int], Sequence[str]]) -> None:
        self._console = console
        self._lines = lines
        self._drawn: Sequence[str] = ()

    @contextmanager
    def shown(self) -> Iterator[None]:
        with Live(self, console=self._console, transient=True, refresh_per_second=4):
            yield

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1  # the last column stays free: some terminals break the line there
        # A terminal that became narrower has broken the lines that were drawn, and they take more rows than Live
        # knows of: without this, copies of them would stay behind.
        broken = sum((max(1, cell_len(line)) - 1) // options.max_width for line in self._drawn)
        if broken:
            yield Control(*((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * broken)
        self._drawn = [shortened(line, width) for line in self._lines(min(width, WIDEST), options.size.height)]
        yield Text("\n".join(self._drawn), no_wrap=True, overflow="crop")

"""``harness report --by dataset``: benches of several datasets and run folders as one leaderboard."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    from harness.reports.model import View
    from harness.runs.records import BenchRecord


def refuse(by: str, asked: Mapping[str, Any]) -> None:
    """Raises HarnessError where ``by`` is not dataset, or something was asked for that a leaderboard does not show."""
    from harness.reports.formats.leaderboard import HONOURED
    from harness.reports.view import flag

    if by != "dataset":
        raise UnknownName("value of --by", by, ["dataset"], "Values")
    for name, value in asked.items():
        if value not in (None, False) and name not in HONOURED:
            raise HarnessError(f"{flag(name)} is not for a leaderboard (--by dataset)")


def leaderboard(
    benches: Sequence[tuple[Path, BenchRecord]],
    form: str,
    view: View,
    margin: float | None,
    patterns: Sequence[str],
    to: Path | None,
    plots: Path | None,
) -> int:
    """Print the leaderboard or write it to a file, with the figures where a folder is named. Returns the status."""
    from harness.common.files import write_text
    from harness.reports.formats.leaderboard import RENDER
    from harness.reports.leaderboard import build_leaderboard

    if form not in RENDER:
        raise HarnessError(f"a leaderboard (--by dataset) has no format {form}. Formats: {', '.join(RENDER)}")
    board = build_leaderboard(benches, margin, patterns, view)
    text = RENDER[form](board)
    if to is None or to == Path("-"):
        typer.echo(text, nl=False)
    try:
        if to is not None and to != Path("-"):
            write_text(to, text)
        if plots is not None:
            from harness.reports.figures.ranking import save_ranks

            sys.stderr.write(f"{len(save_ranks(board, plots))} files with figures in {plots}\n")
    except OSError as error:
        raise HarnessError(f"cannot write {error.filename or to or plots}: {error.strerror}") from None
    return 0

"""Arguments that several subcommands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from harness.errors import HarnessError

T = TypeVar("T")

DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of prepared datasets. Default: $HARNESS_DATA, else your own.")
]
Output = Annotated[Path, typer.Option("--output", help="Folder for run records.")]
Runs = Annotated[Path, typer.Argument(help="A run folder, as made by harness bench --output.")]


def data_root(given: Path | None) -> Path:
    """The folder of prepared datasets: what was given, else $HARNESS_DATA, else the user's data folder."""
    import platformdirs

    if given is not None:
        return given.expanduser()
    return Path(os.environ.get("HARNESS_DATA") or platformdirs.user_data_dir("harness", False))


def comma_list(text: str, kind: Callable[[str], T], flag: str) -> tuple[T, ...]:
    """``1,5`` as (1, 5); ``0-4`` as (0, 1, 2, 3, 4) where ``kind`` is int."""
    values: list[Any] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        if kind is int and dash and first.isdigit() and last.isdigit():
            values.extend(range(int(first), int(last) + 1))
            continue
        try:
            values.append(kind(part))
        except ValueError:
            raise HarnessError(f"{flag} {text!r}: {part!r} is not a {kind.__name__}. Write it as 1,5") from None
    if not values:
        raise HarnessError(f"{flag} {text!r} names nothing")
    return tuple(values)

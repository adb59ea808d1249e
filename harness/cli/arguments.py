"""Arguments that several subcommands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue

DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of prepared datasets. Default: $HARNESS_DATA, else your own.")
]
Executor = Annotated[
    str, typer.Option(help="local (a process a stage), ray (a cluster) or inline.", rich_help_panel="Machine")
]
AtOnce = Annotated[
    str,
    typer.Option(
        "--at-once",
        help="Stages side by side on this machine, or on a GPU of the cluster; auto: as there is room.",
        rich_help_panel="Machine",
    ),
]
Output = Annotated[Path, typer.Option("--output", help="Folder for run records.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say also what is decided for each stage.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and the table alone.")]
Track = Annotated[
    str | None,
    typer.Option(
        help="Trackers that keep the curves, by commas: tensorboard, mlflow, … as installed.", rich_help_panel="Machine"
    ),
]
DryRunFlag = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only print what would be trained, what is there already and how long it takes; write nothing.",
    ),
]
Runs = Annotated[Path, typer.Argument(help="A run folder, as made by harness bench --output.")]

Against = Annotated[
    list[Path] | None,
    typer.Option(help="File of another bench's row (harness runs export --row), to stand in the table. Repeatable."),
]
Level = Literal["quiet", "usual", "verbose"]  # of what is said on standard error


def level_of(verbose: bool, quiet: bool) -> Level:
    """What ``-v`` and ``-q`` ask for. HarnessError: both."""
    if verbose and quiet:
        raise HarnessError("-v says more and -q less: give one of them")
    return "verbose" if verbose else "quiet" if quiet else "usual"


def trackers_of(track: str | None, catalogue: Catalogue) -> list[str]:
    """The trackers that ``--track`` names. Raises UnknownName where one of them is not installed."""
    names = dict.fromkeys(name.strip() for name in (track or "").split(",") if name.strip())
    return [catalogue.tracker(name).name for name in names]


def data_root(given: Path | None) -> Path:
    """The folder of prepared datasets: what was given, else $HARNESS_DATA, else the user's data folder."""
    import platformdirs

    if given is not None:
        return given.expanduser()
    return Path(os.environ.get("HARNESS_DATA") or platformdirs.user_data_dir("harness", False))

"""``harness runs prune``: what of a run folder may go, and how much room that makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.runs_looking import Folder
from harness.common.text import n_bytes_shown

SAID = {
    "unused": "stages that no bench answers to",
    "checkpoints": "checkpoints of finished stages, from which longer trainings would go on",
    "features": "features, which are computed again where they are asked for",
}


def prune(
    runs: Folder = Path("runs"),
    unused: Annotated[bool, typer.Option("--unused", help="Only stages that no bench answers to.")] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Only checkpoints of finished stages.")] = False,
    features: Annotated[bool, typer.Option("--features", help="Only kept features.")] = False,
    searches: Annotated[bool, typer.Option("--searches", help="Unused stages of harness tune, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it nothing is.")] = False,
) -> int:
    """Say what no report needs: stages of no bench, checkpoints of finished stages, kept features. --yes deletes it.

    A stage that is at work is left alone, and so are those of a bench that has not ended.
    """
    from harness.runs.pruning import PARTS, prune, what_may_go

    asked = {"unused": unused, "checkpoints": checkpoints, "features": features}
    parts = [part for part in PARTS if asked[part]] or list(PARTS)
    pruning = what_may_go(runs, parts, searches)
    for part in parts:
        items = [item for item in pruning.prunable if item.part == part]
        typer.echo(f"{n_bytes_shown(pruning.n_bytes(part)):>9}  {SAID[part]}: {len(items)} stages")
        for item in items if part == "unused" else ():
            typer.echo(f"{n_bytes_shown(item.n_bytes):>9}    {item.stage.folder}")
    for text, folders in (
        ("at work, left alone", pruning.busy),
        ("of searches, kept (--searches)", pruning.searched if "unused" in parts else ()),
    ):
        if folders:
            typer.echo(f"{text}: {', '.join(folders)}")
    if not yes:
        typer.echo(f"nothing is deleted yet: --yes frees {n_bytes_shown(pruning.n_bytes())}")
        return 0
    gone, busy = prune(pruning)
    if busy:
        typer.echo(f"taken up in the meantime, left alone: {', '.join(busy)}")
    typer.echo(f"deleted {n_bytes_shown(gone)}")
    return 0

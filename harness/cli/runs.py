"""``harness runs``: what run folders hold, and what becomes of it. Its subcommands are in runs_*.py, a few a file."""

from __future__ import annotations

import typer

from harness.cli import runs_archives, runs_comparing, runs_looking, runs_pruning, runs_reproducing

app = typer.Typer(help="List, show, compare, prune, hand on and reproduce runs.", no_args_is_help=True)

app.command("list")(runs_looking.list_runs)
app.command()(runs_looking.show)
app.command()(runs_comparing.compare)
app.command()(runs_pruning.prune)
app.command()(runs_reproducing.reproduce)
app.command("export")(runs_archives.export)
app.command("import")(runs_archives.import_archive)

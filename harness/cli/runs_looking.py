"""``harness runs list`` and ``show``: what a run folder holds. Nothing heavy is imported."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.common.text import n_bytes_shown

if TYPE_CHECKING:
    from harness.runs.details import StageDetails
    from harness.runs.records import BenchRecord

Folder = Annotated[Path, typer.Argument(help="A run folder, as made by harness bench --output.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def list_runs(runs: Folder = Path("runs"), as_json: AsJson = False) -> int:
    """The benches of a run folder, oldest first: date, plan in short, rows and what became of them."""
    from tabulate import tabulate

    from harness.runs.summaries import summarise

    summary = summarise(runs)
    if as_json:
        benches = [asdict(bench) for bench in summary.benches]
        typer.echo(json.dumps({"benches": benches, "stages of no bench": list(summary.unnamed)}, indent=2))
        return 0
    lines = [
        [bench.id, bench.date[:16].replace("T", " "), bench.plan, "" if bench.rows is None else bench.rows, bench.state]
        for bench in summary.benches
    ]
    if lines:
        typer.echo(_table(lines, ["bench", "ended (UTC)", "plan", "rows", "state"], tabulate) + "\n")
    if summary.unnamed:
        n = len(summary.unnamed)
        typer.echo(f"{n} stage{'s' if n > 1 else ''} of no bench: harness runs prune {runs} says what may go")
    return 0


def show(
    bench: Annotated[str, typer.Argument(metavar="ID", help="ID of a bench or its beginning, 'last', FOLDER:ID.")],
    runs: Folder = Path("runs"),
    as_json: AsJson = False,
) -> int:
    """One bench: its plan, and what its stages are on disk, where they ran and how long they took."""
    from harness.runs.benches import find_bench, split_reference
    from harness.runs.details import changed_fields, details, shared

    folder, which = split_reference(bench, runs)
    record = find_bench(folder, which)
    stages = details(folder, record)
    if as_json:
        typer.echo(json.dumps(_as_values(record, stages), indent=2, ensure_ascii=False))
        return 0
    typer.echo(f"bench {record.id} of {folder}, ended {record.created}\n\nplan (what differs from the defaults):")
    for name, value in changed_fields(record).items():
        typer.echo(f"  {name} = {json.dumps(value, ensure_ascii=False)}")
    for table in record.tables:
        typer.echo(f"\n{table.dataset}{f' → {table.test_dataset}' if table.test_dataset else ''}: {_about(table)}")
        typer.echo(_stage_table([stage for stage in stages if stage.dataset == table.dataset]))
    conditions = "; ".join(f"{name} {value}" for name, value in shared(stages).items())
    total = sum(n for stage in stages for n in stage.sizes.values())
    typer.echo(f"\nran on: {conditions or 'unknown'}\non disk: {n_bytes_shown(total)}")
    return 0


def _about(table: Any) -> str:
    episodes = "; ".join(f"{kind.n} {kind.target} {kind.spec} ({kind.fingerprint[:8]})" for kind in table.episodes)
    data = ", ".join([f"data {table.data_fingerprint[:16]}", *table.notes])
    return f"{data}, {table.score_on} split of {table.n_test_classes} classes; {episodes}"


def _stage_table(stages: list[StageDetails]) -> str:
    from tabulate import tabulate

    from harness.reports.words import duration

    lines = [
        [
            stage.record.row if stage.record.shown else f"({stage.name})",
            stage.record.seed,
            stage.state,
            "-" if stage.fit_seconds is None else duration(stage.fit_seconds),
            *(n_bytes_shown(size) if size else "-" for size in stage.sizes.values()),
            Path(stage.record.folder).name,
        ]
        for stage in stages
    ]
    parts = ["weights", "checkpoints", "features", "scores", "predictions"]
    return _table(lines, ["row", "seed", "state", "training", *parts, "folder"], tabulate)


def _table(lines: list[list[Any]], headers: list[str], tabulate: Any) -> str:
    return tabulate(lines, headers=headers, tablefmt="simple", disable_numparse=True)


def _as_values(record: BenchRecord, stages: list[StageDetails]) -> dict[str, Any]:
    return {
        **record.model_dump(mode="json", exclude={"tables"}),
        "tables": [table.model_dump(mode="json", exclude={"stages"}) for table in record.tables],
        "stages": [
            {
                **stage.record.model_dump(mode="json"),
                "dataset": stage.dataset,
                "state": stage.state,
                "fit_seconds": stage.fit_seconds,
                "conditions": dict(stage.conditions),
                "bytes": dict(stage.sizes),
            }
            for stage in stages
        ],
    }

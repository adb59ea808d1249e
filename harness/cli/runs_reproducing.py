"""``harness runs reproduce``: rows trained again from their record, and whether their numbers come out the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import AtOnce, DataRoot, Executor, Quiet, Verbose, data_root, level_of
from harness.cli.plan_flags import plan_flags
from harness.cli.runs_looking import AsJson, Folder

if TYPE_CHECKING:
    from harness.bench.reproducing import Reproduced


@plan_flags(
    "device",
    "devices",
    "precision",
    "threads",
    device="What computes: auto, cpu, cuda, cuda:1. Default: as the bench asked for.",
    devices="Processes that train one stage together. Default: as the bench asked for.",
    precision="Number format: bf16 or 32. Default: as recorded.",
    threads="CPU threads. Default: as recorded.",
)
def reproduce(
    bench: Annotated[str, typer.Argument(metavar="ID", help="ID of a bench or its beginning, 'last', FOLDER:ID.")],
    runs: Folder = Path("runs"),
    *,
    changes: dict[str, Any],
    row: Annotated[str | None, typer.Option(help="Only this row: rfs/simple. Default: all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this training seed. Default: all.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset of the bench. Default: all.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder to train in. Default: reproduced-ID, in this one.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Where the file that backbones started from is now, if it has moved.")
    ] = None,
    executor: Executor = "local",
    at_once: AtOnce = "1",
    root: DataRoot = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train rows again from their record, in a folder of their own, and say whether the numbers agree.

    Data and methods must be those of the record; threads and precision are, unless others are given. Exit status 0
    where every accuracy and the weights agree to the last digit, 1 where not.
    """
    from harness.bench.reproducing import reproduce
    from harness.bench.retraining import Asked
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor
    from harness.runs.benches import find_bench, split_reference

    folder, which = split_reference(bench, runs)
    record = find_bench(folder, which)
    asked = Asked(row, seed, dataset, changes, weights)
    again = output or Path(f"reproduced-{record.id}")
    catalogue = Catalogue.discover()
    with Display(level=level_of(verbose, quiet)) as display:
        display.status("opening the data")
        workers = make_executor(executor, catalogue, at_once)
        try:
            stages = reproduce(record, asked, catalogue, workers, folder, again, data_root(root), display)
        finally:
            workers.close()
    equal = all(stage.equal for stage in stages)
    if as_json:
        values = {"bench": record.id, "folder": str(folder), "again": str(again), "equal": equal}
        typer.echo(json.dumps({**values, "stages": list(map(_as_values, stages))}, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"bench {record.id} of {folder}, trained again in {again}\n\n{_table(stages)}\n")
        for line in _said(stages):
            typer.echo(line)
    return 0 if equal else 1


def _table(stages: Sequence[Reproduced]) -> str:
    from tabulate import tabulate

    several = len({stage.dataset for stage in stages}) > 1
    settings = dict.fromkeys(
        part.setting
        for stage in stages
        for part in (stage.agreement.settings if stage.agreement else ())
        if part.target == "closed"
    )
    header = [*(["dataset"] if several else []), "row", "seed", "weights", "accuracies of episodes", *settings]
    lines = [
        [*([stage.dataset] if several else []), stage.row, stage.seed, *_cells(stage, list(settings))]
        for stage in stages
    ]
    return tabulate(lines, headers=header, tablefmt="simple", disable_numparse=True)


def _cells(stage: Reproduced, settings: Sequence[str]) -> list[str]:
    agreed = stage.agreement
    if agreed is None:
        return ["failed"]
    within = "" if agreed.weights_within is None else f", by {100 * agreed.weights_within:.2g} % of a tensor's norm"
    n, differing = (sum(getattr(part, name) for part in agreed.settings) for name in ("episodes", "differing"))
    largest = max((part.largest for part in agreed.settings), default=0.0)
    accuracies = (
        f"{differing:,} of {n:,} differ, by up to {100 * largest:.2f} points" if differing else f"all {n:,} equal"
    )
    means = {part.setting: part for part in agreed.settings if part.target == "closed"}
    return [agreed.weights + within, accuracies, *(_mean(means.get(name)) for name in settings)]


def _mean(part: Any) -> str:
    if part is None:
        return "-"
    return f"{100 * part.mean:.2f}" + (f", now {100 * part.mean_now:.2f}" if part.differing else "")


def _said(stages: Sequence[Reproduced]) -> list[str]:
    """What else there is to know of it, a line each; the verdict last."""
    lines = [f"{stage.row} seed {stage.seed} failed: {stage.failure}" for stage in stages if stage.failure]
    kept = [f"{stage.row} seed {stage.seed}" for stage in stages if stage.kept]
    if kept:
        lines.append(f"trained again by an earlier call, not now: {', '.join(kept)}")
    agreed = [stage.agreement for stage in stages if stage.agreement]
    differing: dict[tuple[str, str, str], None] = {}
    for one in agreed:
        differing |= {(name, *values): None for name, values in one.conditions.items()}
    lines += [f"{name} was {then}, now {now}" for name, then, now in differing]
    if any(stage.rescored for stage in stages):
        lines.append("the code that scores has changed since")
    n = sum(stage.equal for stage in stages)
    verdict = f"{n} of {len(stages)} equal to the last digit"
    if not differing and not any(stage.rescored for stage in stages):
        verdict += ", under the same conditions as far as they are recorded"
    return [*lines, verdict]


def _as_values(stage: Reproduced) -> Mapping[str, Any]:
    values = asdict(stage)
    agreed = values.pop("agreement") or {}
    conditions = {name: {"then": then, "now": now} for name, (then, now) in agreed.get("conditions", {}).items()}
    return {**values, "equal": stage.equal, **agreed, **({"conditions": conditions} if agreed else {})}

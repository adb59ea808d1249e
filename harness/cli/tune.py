"""``harness tune``: choose a method's options on validation episodes; the novel classes are never opened."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.arguments import DataRoot, DryRunFlag, Output, Quiet, Track, Verbose, data_root, level_of, trackers_of
from harness.cli.plan_flags import plan_flags
from harness.common.errors import HarnessError, UnknownName
from harness.contract.names import OptionName

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.runs.records import TrialRecord
    from harness.tuning.dry_run import ForetoldSearch
    from harness.tuning.record import Search, SearchResult


@plan_flags(
    "dataset",
    "preset",
    "backbone",
    "weights",
    "shots",
    "way",
    "queries",
    "episodes",
    "episode_seed",
    "seeds",
    "budget",
    "image_size",
    "split",
    "split_seed",
    "skip_damaged",
    "device",
    "devices",
    "precision",
    "threads",
    dataset="Whose validation classes are scored. Default: glyphs.",
    shots="Support images a class; all count alike. Default: 1,5.",
    way="Classes an episode; all count alike. Default: 5.",
    episodes="Validation episodes of each kind. Default: 600.",
    seeds="Training seeds, each trial with all: 0,1,2. Default: 0.",
)
def tune(
    method: Annotated[str, typer.Argument(help="NAME, NAME:PRESET or LABEL=NAME:PRESET.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="LABEL.OPTION=LOW..HIGH or =A,B,C to search, =VALUE to set. Repeatable."),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Choices of values to try, those of earlier starts included.")
    ] = 20,
    at_once: Annotated[
        int, typer.Option(min=1, help="Trials chosen together; --executor ray trains them side by side.")
    ] = 1,
    stage: Annotated[str | None, typer.Option(help="Whose accuracy counts, as gen0. Default: the last.")] = None,
    search_seed: Annotated[int, typer.Option(help="Seed of the search itself.")] = 0,
    *,
    changes: dict[str, Any],
    executor: Annotated[str, typer.Option(help="local (a process a stage), ray (a cluster) or inline.")] = "local",
    output: Output = Path("runs"),
    root: DataRoot = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    track: Track = None,
    dry_run: DryRunFlag = False,
) -> int:
    """Search a method's options for the highest accuracy on validation episodes, and print the trials.

    The same command goes on where an earlier one stopped; more --trials extend it. Stages that trials share, as
    skd/gen0 in a search over skd.beta, are trained once; a later harness bench finds the best trial's stages trained.
    """
    from harness.bench.plan import load_plan
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor
    from harness.tuning.dry_run import dry_run as foretell
    from harness.tuning.search import tune as run

    catalogue = Catalogue.discover()
    plan = load_plan(None, {"methods": (method,), **changes})
    search = searched(plan, settings or [], stage, search_seed, catalogue)
    with Display(catalogue, level_of(verbose, quiet), "these trials") as display:
        display.status("opening the data")
        display.tracking([] if dry_run else trackers_of(track, catalogue), output)
        workers = make_executor(executor, catalogue)
        try:
            if dry_run:
                return print_foretold(foretell(search, trials, catalogue, workers, output, data_root(root), at_once))
            result = run(search, trials, catalogue, workers, output, data_root(root), display, at_once)
        finally:
            workers.close()
    typer.echo(summary(result, search, output, root))
    return 0 if result.best is not None else 1


def print_foretold(found: ForetoldSearch) -> int:
    """What is done of a search, then its next trials as ``harness bench --dry-run`` has them. Returns 0."""
    from harness.cli.dry_run import print_dry_run
    from harness.reports.words import counted

    typer.echo(f"{counted(len(found.trials), 'trial')} done, {found.n_left} to go, kept in {found.folder}")
    if found.next_round is None:
        return 0
    for number, values in enumerate(found.chosen, len(found.trials) + 1):
        typer.echo(f"next: trial {number}: {', '.join(f'{name}={_flag(value)}' for name, value in values.items())}")
    typer.echo("those after it are chosen by what it reaches; stages that trials share are trained once")
    typer.echo()
    return print_dry_run(found.next_round)


def searched(plan: BenchPlan, settings: list[str], stage: str | None, seed: int, catalogue: Catalogue) -> Search:
    """The search that ``--set`` asks for: what is to be found, and what is to stay.

    Raises:
        HarnessError: a setting is malformed; UnknownName: it names no option of the method.
    """
    from harness.bench.entries import entries
    from harness.bench.notation import parse_setting
    from harness.tuning.record import Search
    from harness.tuning.space import as_space

    plan = plan.model_copy(update={"floors": False})
    (entry,) = entries(plan, plan.dataset[0], catalogue)
    known = entry.method.options.model_fields
    fixed, space = {}, {}
    for text in settings:
        name, value = parse_setting(text)
        asked = OptionName.parse(name)
        if asked.label != entry.label:
            raise UnknownName("label in --set", asked.label, [entry.label], "Labels")
        if asked.option not in known:
            raise UnknownName(f"option of {asked.label}", asked.option, known, "Options")
        if name in fixed or name in space:
            raise HarnessError(f"--set {name} is given twice")
        option_space = as_space(name, value, known[asked.option].annotation)
        if option_space is None:
            fixed[name] = value
        else:
            space[name] = option_space
    return Search(plan.model_copy(update={"set": fixed}), space, stage, seed)


def summary(result: SearchResult, search: Search, output: Path, root: Path | None = None) -> str:
    """The trials as a markdown table, the conditions, and how to bench the best of them."""
    import pandas as pd
    from tabulate import tabulate

    plan, best = search.plan, result.best
    grid = pd.DataFrame([_line(trial, trial is best) for trial in result.trials]).fillna("-")
    seeds = ", ".join(map(str, plan.seeds))
    text = [
        f"## {result.row} on the validation classes of {plan.dataset[0]}",
        "",
        tabulate(grid, headers="keys", tablefmt="github", showindex=False, disable_numparse=True),
        "",
        f"- accuracy in percent on {plan.episodes} closed episodes of each kind, ± 95 % interval",
        f"- {result.record.validation_classes} validation classes, {plan.queries} queries a class, episode seed "
        f"{plan.episode_seed}; training seeds {seeds}; data fingerprint {result.record.data_fingerprint[:16]}",
        "- the novel classes were not opened; on the episodes that chose it the best of many trials looks better than "
        "it is, so measure it with harness bench",
        *(f"- trial {trial.number + 1} failed: {trial.failure}" for trial in result.trials if trial.failure),
        f"- the search is kept in {result.folder}",
    ]
    if best is not None:
        flags = " ".join(f"--set {shlex.quote(f'{name}={_flag(value)}')}" for name, value in best.values.items())
        where = f" --data-root {shlex.quote(str(root))}" if root is not None else ""
        plan_file = shlex.quote(str(result.folder / "best.toml"))
        text += [f"- best: {flags}", f"- next: harness bench {plan_file} --output {shlex.quote(str(output))}{where}"]
    return "\n".join(text)


def _line(trial: TrialRecord, best: bool) -> dict[str, str]:
    mark = "**" if best else ""
    mean = "failed" if trial.accuracy is None else f"{100 * trial.accuracy:.2f}"
    return {
        "trial": str(trial.number + 1),
        **{name: _flag(value) for name, value in trial.values.items()},
        **{name: f"{100 * n.mean:.2f} ± {100 * n.half_width:.2f}" for name, n in trial.settings.items()},
        "mean": f"{mark}{mean}{mark}",
    }


def _flag(value: Any) -> str:
    """``value`` as ``--set`` reads it."""
    from harness.tuning.space import as_json

    return value if isinstance(value, str) else as_json(value)

"""``harness bench``: train and score methods on the same splits and episodes; the table goes to standard output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.arguments import DataRoot, Output, data_root


def bench(
    plan: Annotated[Path | None, typer.Argument(help="A bench plan (TOML). Flags override what it says.")] = None,
    methods: Annotated[
        str | None, typer.Option(help="Comma-separated: NAME, NAME:PRESET or LABEL=NAME:PRESET. Default: all.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Comma-separated, a table each. Default: glyphs.")] = None,
    preset: Annotated[str | None, typer.Option(help="Preset of every method: quick, paper, … Default: quick.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone of every method. Default: the preset's.")] = None,
    weights: Annotated[str | None, typer.Option(help="File the backbone starts from, or 'pretrained'.")] = None,
    shots: Annotated[str | None, typer.Option(help="Support images a class. Default: 1,5.")] = None,
    way: Annotated[str | None, typer.Option(help="Classes an episode. Default: 5.")] = None,
    queries: Annotated[int | None, typer.Option(help="Query images a class. Default: 15.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Test episodes of each kind. Default: 600.")] = None,
    episode_seed: Annotated[int | None, typer.Option(help="Seed of test episodes and views. Default: 0.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Training seeds: 0,1,2 or 0-2. Default: 0.")] = None,
    classifier: Annotated[
        str | None, typer.Option(help="'native' (each method's own head), or one classifier for all.")
    ] = None,
    transform: Annotated[str | None, typer.Option(help="Feature transform of the head: l2, centre+l2, …")] = None,
    views: Annotated[int | None, typer.Option(help="Copies of each support image.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Row to compare all others with: rfs/simple.")] = None,
    budget: Annotated[str | None, typer.Option(help="images=N: images seen by every trained stage.")] = None,
    floors: Annotated[bool | None, typer.Option("--floors/--no-floors", help="Rows for raw pixels, untrained.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="LABEL.OPTION=VALUE, repeatable.")] = None,
    sweep: Annotated[list[str] | None, typer.Option(help="LABEL.OPTION=VALUE,VALUE: a method each.")] = None,
    rows: Annotated[str | None, typer.Option(help="Comma-separated rows to show, as */gen1. Default: all.")] = None,
    train_on: Annotated[str | None, typer.Option(help="train or trainval. Default: train.")] = None,
    test_dataset: Annotated[str | None, typer.Option(help="Test on the novel classes of another dataset.")] = None,
    score_on: Annotated[str | None, typer.Option(help="test, or val: the validation classes. Default: test.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels, for folder:PATH.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Base/validation/novel shares of the classes of folder:PATH: 60/20/20.")
    ] = None,
    split_seed: Annotated[int | None, typer.Option(help="Which classes --split puts where. Default: 0.")] = None,
    skip_damaged: Annotated[
        bool | None, typer.Option("--skip-damaged", help="Leave out images of folder:PATH that cannot be read.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1. Default: auto.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes that train one stage together. Default: 1.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bf16 or 32. Default: auto.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None,
    executor: Annotated[str, typer.Option(help="local (a process a stage), ray (a cluster) or inline.")] = "local",
    published: Annotated[
        bool, typer.Option("--published", help="Add published numbers, with a verdict a row.")
    ] = False,
    output: Output = Path("runs"),
    root: DataRoot = None,
) -> int:
    """Train and score methods on identical splits and episodes, and print a markdown comparison table.

    Without arguments: all installed methods and two floors, quick preset, on the embedded dataset glyphs. What the
    output folder already holds is not done again; a bench that was killed goes on where it stopped.
    """
    from harness.bench.bench import bench as run
    from harness.bench.notation import comma_list, parse_budget, parse_settings
    from harness.bench.plan import load_plan
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor
    from harness.reports.build import build_report
    from harness.reports.published import without_numbers

    given: dict[str, Any] = {
        "methods": methods and comma_list(methods, str, "--methods"),
        "dataset": dataset and comma_list(dataset, str, "--dataset"),
        "shots": shots and comma_list(shots, int, "--shots"),
        "way": way and comma_list(way, int, "--way"),
        "seeds": seeds and comma_list(seeds, int, "--seeds"),
        "rows": rows and comma_list(rows, str, "--rows"),
        "budget": parse_budget(budget) if budget is not None else None,
        "preset": preset, "backbone": backbone, "weights": weights, "queries": queries, "episodes": episodes,
        "episode_seed": episode_seed, "classifier": classifier, "transform": transform, "views": views,
        "baseline": baseline, "floors": floors, "train_on": train_on, "test_dataset": test_dataset,
        "score_on": score_on,
        "image_size": image_size, "split": split, "split_seed": split_seed, "skip_damaged": skip_damaged,
        "device": device, "devices": devices, "precision": precision, "threads": threads,
    }  # fmt: skip
    overrides = {name: value for name, value in given.items() if value is not None}
    overrides["set"] = parse_settings(set_ or ())
    overrides["sweep"] = parse_settings(sweep or (), "--sweep")
    catalogue = Catalogue.discover()
    chosen = load_plan(plan, overrides)
    with Display(catalogue) as display:
        workers = make_executor(executor, catalogue)
        try:
            record = run(chosen, catalogue, workers, output, data_root(root), display)
        finally:
            workers.close()
    report = build_report([(output, record)], baseline=chosen.baseline, published=published)
    for dataset_name in without_numbers(report) if published else ():
        typer.echo(f"--published: no number is known for any row of {dataset_name}", err=True)
    typer.echo(catalogue.reporter("markdown").render(report), nl=False)
    return 1 if report.failures else 0

"""``harness evaluate``: score what is trained, again, otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.arguments import DataRoot, Runs, data_root


def evaluate(
    runs: Runs = Path("runs"),
    classifier: Annotated[str | None, typer.Option(help="'native', or one classifier for all.")] = None,
    transform: Annotated[str | None, typer.Option(help="Feature transform of the head: l2, centre+l2, …")] = None,
    views: Annotated[int | None, typer.Option(help="Copies of each support image.")] = None,
    shots: Annotated[str | None, typer.Option(help="Support images a class.")] = None,
    way: Annotated[str | None, typer.Option(help="Classes an episode.")] = None,
    queries: Annotated[int | None, typer.Option(help="Query images a class.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Test episodes of each kind.")] = None,
    episode_seed: Annotated[int | None, typer.Option(help="Seed of test episodes and views.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Row to compare all others with.")] = None,
    test_dataset: Annotated[str | None, typer.Option(help="Test on the novel classes of another dataset.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels, for --test-dataset folder:PATH.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Shares of the classes of --test-dataset folder:PATH: 0/0/100 tests on all.")
    ] = None,
    split_seed: Annotated[int | None, typer.Option(help="Which classes --split puts where.")] = None,
    skip_damaged: Annotated[
        bool | None, typer.Option("--skip-damaged", help="Leave out images of folder:PATH that cannot be read.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    executor: Annotated[str, typer.Option(help="local (a process a stage), ray (a cluster) or inline.")] = "local",
    bench: Annotated[str, typer.Option(help="ID of the bench whose stages are scored, or 'last'.")] = "last",
    root: DataRoot = None,
) -> int:
    """Score the trained stages of a bench again: another classifier, more episodes, other shots. Trains nothing.

    Images that were embedded before are not embedded again.
    """
    from harness.bench.bench import bench as run
    from harness.bench.notation import comma_list
    from harness.bench.plan import validated
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor
    from harness.reports.build import build_report
    from harness.runs import find_bench

    given: dict[str, Any] = {
        "classifier": classifier, "transform": transform, "views": views,
        "shots": shots and comma_list(shots, int, "--shots"), "way": way and comma_list(way, int, "--way"),
        "queries": queries, "episodes": episodes, "episode_seed": episode_seed, "baseline": baseline,
        "test_dataset": test_dataset, "image_size": image_size, "split": split, "split_seed": split_seed,
        "skip_damaged": skip_damaged, "device": device, "threads": threads,
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    plan = validated({**find_bench(runs, bench).plan.model_dump(mode="json"), **changes})
    catalogue = Catalogue.discover()
    with Display(catalogue) as display:
        workers = make_executor(executor, catalogue)
        try:
            record = run(plan, catalogue, workers, runs, data_root(root), display, train=False)
        finally:
            workers.close()
    report = build_report([(runs, record)])
    typer.echo(catalogue.reporter("markdown").render(report), nl=False)
    return 1 if report.failures else 0

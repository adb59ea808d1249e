"""``harness evaluate``: score trained stages again, with another head or on other episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.arguments import (
    Against,
    AtOnce,
    DataRoot,
    DryRunFlag,
    Executor,
    Quiet,
    Runs,
    Verbose,
    data_root,
    level_of,
)
from harness.cli.plan_flags import plan_flags
from harness.cli.terminal import print_report


@plan_flags(
    "classifier",
    "transform",
    "views",
    "embed",
    "shots",
    "way",
    "varied",
    "queries",
    "episodes",
    "episode_seed",
    "baseline",
    "equivalent",
    "test_dataset",
    "image_size",
    "split",
    "split_seed",
    "skip_damaged",
    "device",
    "threads",
    image_size="Pixels, for --test-dataset folder:PATH.",
    split="Shares of the classes of --test-dataset folder:PATH: 0/0/100 tests on all.",
)
def evaluate(
    runs: Runs = Path("runs"),
    *,
    changes: dict[str, Any],
    executor: Executor = "local",
    at_once: AtOnce = "1",
    bench: Annotated[str, typer.Option(help="ID of the bench whose stages are scored, or 'last'.")] = "last",
    root: DataRoot = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    against: Against = None,
    dry_run: DryRunFlag = False,
) -> int:
    """Score the trained stages of a bench again: another classifier, more episodes, other shots. Trains nothing.

    Images that were embedded before are not embedded again.
    """
    from harness.bench.against import refusing_strangers, without_foreign_baseline
    from harness.bench.bench import bench as run
    from harness.bench.dry_run import dry_run as foretell
    from harness.bench.plan import validated
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.dry_run import print_dry_run
    from harness.cli.progress import Display
    from harness.execution.factory import make_executor
    from harness.reports.build import build_report
    from harness.reports.foreign import read_rows
    from harness.runs import find_bench

    earlier, rows = find_bench(runs, bench), read_rows(against or [])
    recorded = earlier.plan.model_dump(mode="json")
    for name in ("varied", "way", "shots"):  # one of them stands in place of the others that the bench had
        for other in {"way", "shots"} if name == "varied" else {"varied"}:
            if name in changes and other not in changes:
                recorded.pop(other, None)
    plan = validated({**recorded, **changes})
    catalogue = Catalogue.discover()
    with Display(catalogue, level_of(verbose, quiet)) as display:
        display.status("opening the data")
        workers = make_executor(executor, catalogue, at_once)
        try:
            asked, observe = without_foreign_baseline(plan, rows), refusing_strangers(rows, display)
            if dry_run:
                return print_dry_run(foretell(asked, catalogue, workers, runs, data_root(root), observe, earlier))
            record = run(asked, catalogue, workers, runs, data_root(root), observe, earlier)
        finally:
            workers.close()
    report = build_report([(runs, record)], plan.baseline, equivalent=plan.equivalent, against=rows)
    print_report(report, catalogue.reporter("markdown").render)
    return 1 if report.failures else 0

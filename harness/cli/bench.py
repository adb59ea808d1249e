"""``harness bench``: train and score methods on the same splits and episodes; the table goes to standard output."""

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
    Output,
    Quiet,
    Track,
    Verbose,
    data_root,
    level_of,
    trackers_of,
)
from harness.cli.plan_flags import plan_flags
from harness.cli.terminal import print_report


@plan_flags()
def bench(
    plan: Annotated[Path | None, typer.Argument(help="A bench plan (TOML). Flags override what it says.")] = None,
    *,
    changes: dict[str, Any],
    executor: Executor = "local",
    at_once: AtOnce = "1",
    published: Annotated[
        bool, typer.Option("--published", help="Add published numbers, with a verdict a row.")
    ] = False,
    output: Output = Path("runs"),
    root: DataRoot = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    track: Track = None,
    against: Against = None,
    dry_run: DryRunFlag = False,
) -> int:
    """Train and score methods on identical splits and episodes, and print a markdown comparison table.

    Without arguments: skd, rfs, protonet and two floors, quick preset, on the embedded dataset glyphs. What the
    output folder already holds is not done again; a bench that was killed goes on where it stopped.
    """
    from harness.cli.progress import Display

    with Display(level=level_of(verbose, quiet)) as display:
        display.status("loading methods and data")
        from harness.bench.against import refusing_strangers, without_foreign_baseline
        from harness.bench.bench import bench as run
        from harness.bench.dry_run import dry_run as foretell
        from harness.bench.plan import load_plan
        from harness.catalogue.catalogue import Catalogue
        from harness.cli.dry_run import print_dry_run
        from harness.execution.factory import make_executor
        from harness.reports.build import build_report
        from harness.reports.foreign import read_rows
        from harness.reports.published import without_numbers

        catalogue = Catalogue.discover()
        chosen, rows = load_plan(plan, changes), read_rows(against or [])
        display.notifying(catalogue)
        trackers = trackers_of(track, catalogue)
        display.tracking([] if dry_run else trackers, output)
        workers = make_executor(executor, catalogue, at_once)
        try:
            asked, observe = without_foreign_baseline(chosen, rows), refusing_strangers(rows, display)
            if dry_run:
                return print_dry_run(foretell(asked, catalogue, workers, output, data_root(root), observe))
            record = run(asked, catalogue, workers, output, data_root(root), observe)
        finally:
            workers.close()
    report = build_report([(output, record)], chosen.baseline, published, chosen.equivalent, against=rows)
    for dataset_name in without_numbers(report) if published else ():
        typer.echo(f"--published: no number is known for any row of {dataset_name}", err=True)
    print_report(report, catalogue.reporter("markdown").render)
    if not quiet:
        typer.echo(f"bench {record.id} is kept in {output}: see harness report {output} --help", err=True)
    return 1 if report.failures else 0

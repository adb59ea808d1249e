"""``harness report``: the table of benches that were run, in any format, without training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import Runs
from harness.cli.terminal import print_report
from harness.common.errors import HarnessError


def report(
    runs: Runs = Path("runs"),
    format_: Annotated[str | None, typer.Option("--format", help="markdown, csv, json, latex, html.")] = None,
    to: Annotated[Path | None, typer.Option("-o", help="File to write. Default: standard output.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Row to compare all others with: rfs/simple.")] = None,
    equivalent: Annotated[
        float | None, typer.Option(help="Accuracy points within which a row is practically equal to the baseline: 0.5.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder to write the figures to, as PNG, SVG and PDF.")] = None,
    bench: Annotated[list[str] | None, typer.Option(help="ID of a bench, 'last' or 'all'. Repeatable.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Add published numbers, with a verdict a row.")
    ] = False,
) -> int:
    """Print the comparison table of a run folder again, without training anything."""
    from harness.catalogue.catalogue import Catalogue
    from harness.common.files import write_text
    from harness.reports import format_of
    from harness.reports.build import build_report
    from harness.reports.published import without_numbers
    from harness.runs import find_benches

    if equivalent is not None and not 0 < equivalent < 100:
        raise HarnessError(f"--equivalent {equivalent:g}: accuracy points between 0 and 100, as 0.5")
    asked = bench or ["last"]
    benches = {record.id: record for which in asked for record in find_benches(runs, which)}
    if asked == ["last"] and (others := [record.id for record in find_benches(runs, "all")[:-1]]):
        sys.stderr.write(f"the last bench of {len(others) + 1}; earlier ones: --bench all, or {', '.join(others)}\n")
    catalogue = Catalogue.discover()
    chosen_format = format_ or (format_of(to, catalogue.reporters) if to and to != Path("-") else "markdown")
    built = build_report([(runs, record) for record in benches.values()], baseline, published, equivalent)
    for dataset in without_numbers(built) if published else ():
        sys.stderr.write(f"--published: no number is known for any row of {dataset}\n")
    text = catalogue.reporter(chosen_format).render(built)
    if to is None and format_ is None:
        print_report(built, catalogue.reporter("markdown").render)
    elif to is None or to == Path("-"):
        typer.echo(text, nl=False)
    try:
        if to is not None and to != Path("-"):
            write_text(to, text)
        if plots is not None:
            from harness.reports.figures.plots import fonts, save_plots

            for warning in dict.fromkeys(str(fonts(table)) for table in built.tables if str(fonts(table))):
                sys.stderr.write(f"{warning}\n")
            sys.stderr.write(f"{len(save_plots(built, plots))} files with figures in {plots}\n")
    except OSError as error:
        raise HarnessError(f"cannot write {error.filename or to or plots}: {error.strerror}") from None
    return 1 if built.failures else 0

"""``harness report``: the table of benches that were run, in any format, without training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import Against, DataRoot, data_root
from harness.cli.terminal import print_report
from harness.common.errors import HarnessError

if TYPE_CHECKING:
    from harness.reports.model import Report
    from harness.runs.records import BenchRecord

TABLE, LATEX = "Table", "LaTeX"  # groups of options in the help
DEFAULT_RUNS = (Path("runs"),)


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders, as made by harness bench.")] = None,
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
    by: Annotated[
        str | None, typer.Option("--by", help="dataset: a leaderboard, a column a dataset and setting.")
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(help="A line of csv: accuracies, episodes, classes, confusion, predictions. Default: accuracies."),
    ] = None,
    failures: Annotated[
        bool, typer.Option("--failures", help="Add the worst 5 % of episodes and the classes that are confused.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Columns in their order, by commas: method,accuracy,training.", rich_help_panel=TABLE),
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Rows to show, by commas: skd/*,*/gen1.", rich_help_panel=TABLE)
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Column that orders the rows; -training turns it round.", rich_help_panel=TABLE)
    ] = None,
    precision: Annotated[
        int | None, typer.Option(help="Digits after the point. Default: 2.", rich_help_panel=TABLE)
    ] = None,
    interval: Annotated[
        str | None,
        typer.Option(help="Behind ±: closed, open or class. Default: closed; csv: all.", rich_help_panel=TABLE),
    ] = None,
    mark: Annotated[
        str | None,
        typer.Option(help="By commas: best, second, same, tiers, none. Default: best.", rich_help_panel=TABLE),
    ] = None,
    per_seed: Annotated[
        bool, typer.Option("--per-seed", help="The accuracy of each seed.", rich_help_panel=TABLE)
    ] = False,
    numbers: Annotated[
        str | None, typer.Option(help="plain or siunitx. Default: plain.", rich_help_panel=LATEX)
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Over both columns of a page.", rich_help_panel=LATEX)] = False,
    caption: Annotated[
        str | None, typer.Option(help="LaTeX, taken as it is. Default: what is shown.", rich_help_panel=LATEX)
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Default: tab: and the dataset's name.", rich_help_panel=LATEX)
    ] = None,
    against: Against = None,
    root: DataRoot = None,
) -> int:
    """Print the comparison table of a run folder again, or of several, without training anything."""
    from harness.catalogue.catalogue import Catalogue
    from harness.reports import format_of
    from harness.reports.build import build_report
    from harness.reports.foreign import read_rows
    from harness.reports.published import without_numbers
    from harness.reports.view import asked_view, with_rows

    if equivalent is not None and not 0 < equivalent < 100:
        raise HarnessError(f"--equivalent {equivalent:g}: accuracy points between 0 and 100, as 0.5")
    catalogue = Catalogue.discover()
    chosen_format = format_ or (format_of(to, catalogue.reporters) if to and to != Path("-") else "markdown")
    reporter = catalogue.reporter(chosen_format)
    asked = {
        "what": what,
        "failures": failures,
        "columns": columns,
        "precision": precision,
        "interval": interval,
        "mark": mark,
        "per_seed": per_seed,
        "numbers": numbers,
        "wide": wide,
        "caption": caption,
        "label": label,
    }
    view = asked_view(reporter, catalogue.reporters, **asked)
    if by is not None:
        from harness.cli.leaderboard import leaderboard, refuse

        refuse(by, {**asked, "baseline": baseline, "published": published, "sort": sort})
        benches = chosen_benches(runs or DEFAULT_RUNS, bench, default="all")
        return leaderboard(benches, reporter.name, view, equivalent, rows.split(",") if rows else (), to, plots)
    benches = chosen_benches(runs or DEFAULT_RUNS, bench)
    built = build_report(
        benches, baseline, published, equivalent, view.compares, view.failures, read_rows(against or [])
    )
    built = with_rows(built, view, rows.split(",") if rows else (), sort)
    for dataset in without_numbers(built) if published else ():
        sys.stderr.write(f"--published: no number is known for any row of {dataset}\n")
    if reporter.name == "html":
        from harness.cli.report_images import with_images

        built = with_images(built, catalogue, data_root(root))
    text = reporter.render(built)
    if to is None and format_ is None:
        print_report(built, reporter.render)
    elif to is None or to == Path("-"):
        typer.echo(text, nl=False)
    _write(built, text, to, plots)
    return 1 if built.failures else 0


def chosen_benches(
    folders: Sequence[Path], asked: Sequence[str] | None, default: str = "last"
) -> list[tuple[Path, BenchRecord]]:
    """The benches asked for, each once, with their run folders; of several folders, those that any of them has.

    Raises:
        RunsError: a folder has no bench, or none of them has one that was asked for.
    """
    from harness.common.errors import RunsError
    from harness.runs import find_benches

    chosen: dict[tuple[Path, str], BenchRecord] = {}
    for which in asked or [default]:
        missing = []
        for folder in dict.fromkeys(folders):
            try:
                chosen |= {(folder, record.id): record for record in find_benches(folder, which)}
            except RunsError as error:
                missing.append(error)
                if len(folders) == 1 or which in ("last", "all"):
                    raise
        if len(missing) == len(set(folders)):
            raise missing[0]
    for folder in dict.fromkeys(folders) if not asked and default == "last" else ():
        if others := [record.id for record in find_benches(folder, "all")[:-1]]:
            sys.stderr.write(
                f"the last bench of {len(others) + 1}; earlier ones: --bench all, or {', '.join(others)}\n"
            )
    return [(folder, record) for (folder, _), record in chosen.items()]


def _write(built: Report, text: str, to: Path | None, plots: Path | None) -> None:
    """The file and the figures that were asked for. Raises HarnessError where they cannot be written."""
    from harness.common.files import write_text

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

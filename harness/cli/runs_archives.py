"""``harness runs export`` and ``import``: runs handed to somebody else, and taken from somebody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import DataRoot, data_root
from harness.cli.runs_looking import Folder
from harness.common.errors import HarnessError
from harness.common.text import n_bytes_shown

if TYPE_CHECKING:
    from harness.runs.records import BenchRecord


def export(
    file: Annotated[Path, typer.Argument(help="File to write: .zip, or .json of one row.")],
    runs: Folder = Path("runs"),
    bench: Annotated[list[str] | None, typer.Option(help="ID of a bench, or 'last'. Repeatable. Default: all.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="With the trained weights.")] = False,
    features: Annotated[bool, typer.Option("--features", help="With the features that were kept.")] = False,
    pictures: Annotated[
        bool, typer.Option(help="With the small pictures of images that their pages show, where the data is here.")
    ] = True,
    row: Annotated[str | None, typer.Option(help="Only this row, as a small .json: rfs/simple.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Of the row. Default: the first of its bench.")] = None,
    root: DataRoot = None,
) -> int:
    """Write benches to one archive: what a reader needs for every table and figure, with checksums.

    harness runs import FILE makes a run folder of it anywhere, of which harness report makes the same bytes. With --row
    one row's accuracies, which stand beside anybody's on the same episodes: harness bench --against FILE.
    """
    if row is not None:
        if weights or features or len(bench or ()) > 1:
            raise HarnessError("--row writes one row of one bench: drop --weights, --features and further --bench")
        return _export_row(file, runs, (bench or ["last"])[0], row, dataset)
    if dataset is not None:
        raise HarnessError("--dataset is for --row: an archive holds its benches whole")
    from harness.runs import find_benches
    from harness.runs.exporting import export_runs

    _refuse_ending(file, ".zip")
    benches = {record.id: record for which in bench or ["all"] for record in find_benches(runs, which)}
    try:
        shown = _shown(runs, list(benches.values()), data_root(root), pictures)
        record = export_runs(runs, list(benches.values()), file, weights, features, shown)
    except OSError as error:
        raise HarnessError(f"cannot write {error.filename or file}: {error.strerror}") from None
    n = len(record.benches)
    size = n_bytes_shown(file.stat().st_size)
    typer.echo(f"{file}: {n} bench{'es' if n > 1 else ''}, {len(record.files)} files, {size}")
    return 0


def import_archive(
    file: Annotated[Path, typer.Argument(help="An archive, as harness runs export writes it.")],
    runs: Annotated[Path, typer.Argument(help="The run folder to merge it into; made where there is none.")] = Path(
        "runs"
    ),
) -> int:
    """Check an archive of runs and merge it into a run folder. What the folder has stays as it is.

    Every checksum and record is verified before anything is written.
    """
    from harness.runs.importing import import_runs

    imported = import_runs(file, runs)
    typer.echo(f"{runs}: {imported.written} files of bench{'es' if len(imported.benches) > 1 else ''} ", nl=False)
    typer.echo(f"{', '.join(imported.benches)} written")
    if imported.kept:
        n = len(imported.kept)
        typer.echo(f"{n} file{'s' if n > 1 else ''} kept as this folder has them, with the same numbers: ", nl=False)
        typer.echo(", ".join(imported.kept[:3]) + (", …" if n > 3 else ""))
    return 0


def _shown(runs: Path, benches: Sequence[BenchRecord], root: Path, pictures: bool) -> dict[str, bytes | memoryview]:
    """What the pages of these benches show beside numbers, a member of the archive for each table."""
    from dataclasses import replace

    from harness.catalogue.catalogue import Catalogue
    from harness.cli.report_images import with_images
    from harness.reports.build import build_report
    from harness.reports.formats.page.shown import shown
    from harness.runs.shown import shown_bytes, shown_file

    catalogue = Catalogue.discover()
    members: dict[str, bytes | memoryview] = {}
    for bench in benches:
        report = with_images(build_report([(runs, bench)]), catalogue, root)
        for number, table in enumerate(report.tables):
            on_page = shown(table)
            if on_page is not None:
                kept = on_page if pictures else replace(on_page, pictures={})
                members[shown_file(Path(), bench.id, number).as_posix()] = shown_bytes(kept)
    return members


def _export_row(file: Path, runs: Path, bench: str, row: str, dataset: str | None) -> int:
    from harness.common.files import write_text
    from harness.reports.rowfile import as_text, row_record
    from harness.runs import find_bench

    _refuse_ending(file, ".json")
    record = row_record(runs, find_bench(runs, bench), row, dataset)
    try:
        write_text(file, as_text(record))
    except OSError as error:
        raise HarnessError(f"cannot write {error.filename or file}: {error.strerror}") from None
    kinds = "; ".join(f"{part.episodes.n} {part.episodes.target} {part.episodes.spec}" for part in record.settings)
    typer.echo(f"{file}: {row}, seeds {', '.join(map(str, record.seeds))}, {kinds}")
    return 0


def _refuse_ending(file: Path, ending: str) -> None:
    if file.suffix.lower() != ending:
        raise HarnessError(f"{file}: give it the ending {ending}")

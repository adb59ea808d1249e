"""``harness data``: prepare, verify and look at datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.arguments import DataRoot, data_root
from harness.cli.terminal import error_console
from harness.common.errors import HarnessError
from harness.common.text import printable

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec
    from harness.datasets.prepared.store import Index

app = typer.Typer(help="Prepare, verify and look at datasets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A dataset, as harness datasets lists it.")]


@app.command()
def prepare(
    name: Name,
    source: Annotated[
        Path | None, typer.Option(help="The files as you have them: a folder, a .zip, a .tar or a .tar.gz.")
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files from their public source.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Prepare again what is prepared already.")] = False,
    swap_channels: Annotated[
        bool, typer.Option("--bgr", help="Arrays (.pickle, .npz) hold blue, green, red, as OpenCV reads images.")
    ] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out images that cannot be read; every table says how many.")
    ] = False,
    root: DataRoot = None,
) -> None:
    """Bring a dataset into the prepared form: memory-mapped images, checked against the published split."""
    from harness.datasets.preparing.prepare import PrepareRequest

    spec = _benchmark(name)
    if spec.prepare is None:
        raise HarnessError(f"{spec.name} needs no preparation: {spec.obtain}")
    if (source is None) == (not download):
        raise HarnessError(f"give either --source PATH or --download. {spec.obtain}")
    if download and swap_channels:
        raise HarnessError(
            "--bgr is for arrays that somebody has written with --source; what --download fetches is "
            "red, green, blue: drop --bgr"
        )
    with _bar(f"preparing {spec.name}") as (progress, say):
        request = PrepareRequest(
            root=data_root(root),
            source=source.expanduser() if source else None,
            download=download,
            replace=replace,
            swap_channels=swap_channels,
            skip_damaged=skip_damaged,
            say=say,
            progress=progress,
        )
        folder = spec.prepare(request)
    typer.echo(f"{spec.name} is prepared in {folder}")


@app.command()
def verify(name: Name, root: DataRoot = None) -> None:
    """Read every image of a prepared dataset and compare with its fingerprint."""
    from harness.datasets.prepared.verify import verify as verify_folder

    spec = _benchmark(name)
    folder = _prepared(spec, data_root(root))
    with _bar(f"verifying {spec.name}") as (progress, _):
        verify_folder(spec, folder, progress)
    typer.echo(f"{spec.name} in {folder} is as it was prepared")


@app.command()
def info(
    name: Name,
    preview: Annotated[Path | None, typer.Option(help="Write a sheet with a few images a class to this PNG.")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="List every class with its number of images.")] = False,
    image_size: Annotated[int | None, typer.Option(help="Pixels, for folder:PATH.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Base/validation/novel shares of the classes of folder:PATH: 60/20/20.")
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Which classes --split puts where.")] = 0,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out images of folder:PATH that cannot be read.")
    ] = False,
    root: DataRoot = None,
) -> None:
    """Counts, classes, fingerprint and size on disk of a dataset."""
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import DataRequest
    from harness.datasets import open_dataset
    from harness.datasets.preparing.classes import ROLES, titles

    spec, argument = Catalogue.discover().dataset(name)
    if (split or skip_damaged) and not spec.takes_argument:
        raise HarnessError(f"--split and --skip-damaged are for folder:PATH; {spec.name} has a split of its own")
    request = DataRequest(data_root(root), argument, image_size, split, split_seed, skip_damaged)
    dataset = open_dataset(spec, request)
    known = titles(spec.name)
    typer.echo(f"{spec.name}: {spec.title}")
    for part in dataset.splits:
        height, width, channels = part.images.shape[1:]
        typer.echo(
            f"  {part.name:5} ({ROLES[part.name]}): {part.n_classes} classes, {len(part):,} images "
            f"of {height}×{width}×{channels}, fingerprint {part.fingerprint[:12]}"
        )
        if classes:
            counts = _counts(part.labels, part.n_classes)
            for class_name, count in zip(part.class_names, counts, strict=True):
                typer.echo(f"    {count:6,}  {class_name}  {known.get(class_name, '')}".rstrip())
    for note in dataset.notes:
        typer.echo(f"  {note}")
    from harness.contract.citations import citation_text

    typer.echo(f"  licence: {spec.licence}\n  cite: {citation_text(spec)}\n  from: {spec.obtain}")
    folder = data_root(root) / spec.name
    if spec.prepare is not None and folder.is_dir():
        size = sum(path.stat().st_size for path in folder.iterdir())
        typer.echo(f"  on disk: {size / 1e6:,.1f} MB in {folder}")
        _echo_origin(folder)
    if preview is not None:
        from harness.datasets.preview import write_preview

        warning = write_preview(dataset, preview)
        typer.echo(f"  preview: {preview}")
        if warning:
            typer.echo(warning, err=True)


def _benchmark(name: str) -> DatasetSpec:
    from harness.catalogue.catalogue import Catalogue

    spec, argument = Catalogue.discover().dataset(name)
    if argument is not None:
        raise HarnessError(f"{name} is prepared when it is first used; for what is in it: harness data info {name}")
    return spec


def _prepared(spec: DatasetSpec, root: Path) -> Path:
    from harness.datasets.prepared.opening import missing_data
    from harness.datasets.prepared.store import is_prepared

    if spec.prepare is None:
        raise HarnessError(f"{spec.name} has nothing to verify: {spec.obtain}")
    if not is_prepared(root / spec.name):
        raise missing_data(spec, root)
    return root / spec.name


def _echo_origin(folder: Path) -> None:
    from harness.datasets.prepared.store import read_index

    index: Index = read_index(folder)
    for key, value in index.origin.items():
        typer.echo(f"  {key}: {value}")


def _counts(labels: object, n_classes: int) -> list[int]:
    import numpy as np

    return [int(count) for count in np.bincount(np.asarray(labels), minlength=n_classes)]


@contextmanager
def _bar(description: str) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """A progress bar on standard error, on a terminal only.

    Yields two functions: one takes what is done and what there is in all, one prints a line above the bar.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = error_console()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield (
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda line: console.print(printable(line)),
        )

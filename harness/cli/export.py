"""``harness export features``: what a trained stage makes of each image, for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import DataRoot, Runs, data_root

app = typer.Typer(help="Write the features of a trained stage to a file.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """Write the features of a trained stage to a file."""


@app.command()
def features(
    runs: Runs,
    row: Annotated[str, typer.Option(help="Row of the table: rfs/simple.")],
    output: Annotated[Path, typer.Option(help="File to write: .npz, .safetensors or .parquet.")],
    split: Annotated[str, typer.Option(help="Whose images: test, val or train.")] = "test",
    seed: Annotated[int, typer.Option(help="Training seed of the row.")] = 0,
    dataset: Annotated[str | None, typer.Option(help="Dataset of the bench. Default: its first.")] = None,
    bench: Annotated[str, typer.Option(help="ID of the bench, or 'last'.")] = "last",
    root: DataRoot = None,
) -> int:
    """Write what a trained stage makes of each image of a split: embeddings, hashes, rows, labels, in its order.

    harness bench --methods features --set features.file=FILE scores such a file, from here or from anywhere.
    """
    from harness.bench.export import feature_table, refuse_suffix, write_features
    from harness.catalogue.catalogue import Catalogue
    from harness.common.errors import HarnessError
    from harness.runs import find_bench

    refuse_suffix(output)
    table = feature_table(
        find_bench(runs, bench), Catalogue.discover(), runs, data_root(root), row, seed, split, dataset
    )
    try:
        write_features(output, table)
    except OSError as error:
        raise HarnessError(f"cannot write {output}: {error.strerror}") from None
    n, width = table.embeddings.shape
    sys.stderr.write(f"{output}: {n:,} embeddings of {width} numbers, of the {split} split by {row}, seed {seed}\n")
    return 0

"""A prepared dataset is opened, or the reason why not is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import DataError, NotPrepared
from harness.datasets.prepared import store

if TYPE_CHECKING:
    from harness.contract.data import DataRequest, Dataset, DatasetSpec


def missing_data(spec: DatasetSpec, root: Path) -> DataError:
    """What to tell a user who has not prepared the dataset: which files, from where, and the command."""
    return NotPrepared(
        f"{spec.name} is not prepared in {root}. {spec.obtain} "
        f"Then run: harness data prepare {spec.name} --source PATH --data-root {root}"
    )


def refuse_size(spec: DatasetSpec, request: DataRequest) -> None:
    """Raises DataError where another image size is asked for than the dataset's own."""
    if request.image_size not in (None, spec.image_size):
        raise DataError(
            f"{spec.name} has images of {spec.image_size} pixels, not {request.image_size}: "
            "--image-size is for folder:PATH"
        )


def open_prepared(spec: DatasetSpec, request: DataRequest) -> Dataset:
    """The dataset as prepared under ``request.root``. Raises DataError where it is not, saying how to get it."""
    refuse_size(spec, request)
    if not store.is_prepared(request.root / spec.name):
        raise missing_data(spec, request.root)
    return store.open_folder(spec, request.root / spec.name)

"""Are prepared data still what they were? ``harness data verify NAME``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.datasets.prepared.fingerprints import canonical_order, class_digest, image_digests, split_fingerprint
from harness.datasets.prepared.store import SplitRecord, open_folder, read_index

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec, Split


def verify(spec: DatasetSpec, folder: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Reads every image of the dataset prepared in ``folder`` and compares it with its fingerprint.

    Raises DataError naming the first split and class that differ.
    """
    index = read_index(folder)
    dataset = open_folder(spec, folder)
    done, total = 0, sum(len(split) for split in dataset.splits)
    for split in dataset.splits:
        record = index.splits[split.name]
        bounds = np.cumsum([0, *(class_record.images for class_record in record.classes)])
        _check_labels(split, record, folder)
        for class_record, (start, end) in zip(record.classes, itertools.pairwise(bounds), strict=True):
            digests = image_digests(split.images[start:end])
            order = canonical_order(np.zeros(len(digests), np.int64), digests)
            if class_digest(digests) != class_record.sha256:
                what = (
                    "images out of order" if class_digest(digests[order]) == class_record.sha256 else "changed images"
                )
                raise _changed_data_error(folder, f"{what} in the split {split.name!r}, class {class_record.name!r}")
            done += len(digests)
            if progress is not None:
                progress(done, total)
        listed = [(class_record.name, class_record.images, class_record.sha256) for class_record in record.classes]
        if split_fingerprint(record.image_shape, listed) != record.fingerprint:
            raise _changed_data_error(folder, f"the fingerprint of the split {split.name!r} is not that of its classes")


def _check_labels(split: Split, record: SplitRecord, folder: Path) -> None:
    expected = np.repeat(np.arange(split.n_classes), [class_record.images for class_record in record.classes])
    wrong = np.flatnonzero(split.labels != expected)
    if len(wrong):
        name = record.classes[int(expected[wrong[0]])].name
        raise _changed_data_error(
            folder, f"{len(wrong)} wrong labels in the split {split.name!r}, class {name!r} first"
        )


def _changed_data_error(folder: Path, what: str) -> DataError:
    return DataError(f"{folder}: damaged: {what}: prepare the dataset again with --replace")

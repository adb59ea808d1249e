"""Datasets made of others: base and validation classes merged, or trained on one and tested on another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.common.errors import DataError
from harness.contract.data import Dataset, Split


class JoinedImages:
    """Several image arrays as one, joined along the first axis and left where they are.

    Has what a split's images need: ``shape``, ``dtype``, ``ndim``, ``nbytes``, ``len``, indexing by an integer, a slice
    or an array of integers or booleans, and conversion with ``numpy.asarray``, which alone copies everything.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])  # (n_parts,)
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.ndim = len(self.shape)
        self.nbytes = sum(part.nbytes for part in parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, tuple):
            rows = np.asarray(self[index[0]])
            deeper = index[1:] if isinstance(index[0], int | np.integer) else (slice(None), *index[1:])
            return rows[deeper]
        if isinstance(index, int | np.integer):
            place = range(len(self))[index]
            part = int(np.searchsorted(self._ends, place, side="right"))
            return self._parts[part][place - (int(self._ends[part]) - len(self._parts[part]))]
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        return self._gather(np.asarray(index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        joined = np.concatenate(self._parts)
        return joined if dtype is None else joined.astype(dtype, copy=False)

    def _gather(self, index: np.ndarray) -> np.ndarray:
        """(*index.shape, H, W, C), each part read once, its rows in the order asked for."""
        if index.dtype == bool:
            index = np.flatnonzero(index)
        flat = index.reshape(-1).astype(np.int64)
        if flat.size and (flat.min() < -len(self) or flat.max() >= len(self)):
            raise IndexError(f"index {flat.min()}..{flat.max()} is outside 0..{len(self) - 1}")
        flat = np.where(flat < 0, flat + len(self), flat)
        part_of = np.searchsorted(self._ends, flat, side="right")
        images = np.empty((len(flat), *self.shape[1:]), dtype=self.dtype)
        for number, part in enumerate(self._parts):
            here = part_of == number
            images[here] = part[flat[here] - (int(self._ends[number]) - len(part))]
        return images.reshape(*index.shape, *self.shape[1:])


def trainval(dataset: Dataset) -> Dataset:
    """``dataset`` with its validation classes among the base classes, and no validation split.

    Raises DataError where it has no base or no validation classes.
    """
    if dataset.train is None or dataset.val is None:
        missing = "base" if dataset.train is None else "validation"
        raise DataError(f"{dataset.spec.name} has no {missing} classes: --train-on trainval needs both; use train")
    first, second = dataset.train, dataset.val
    prints = f"trainval:{first.fingerprint}:{second.fingerprint}"
    merged = Split(
        name="train",
        images=JoinedImages([first.images, second.images]),  # type: ignore[arg-type]
        labels=np.concatenate([first.labels, second.labels + first.n_classes]),
        class_names=(*first.class_names, *second.class_names),
        fingerprint=hashlib.sha256(prints.encode()).hexdigest(),
    )
    return replace(dataset, train=merged, val=None)


def cross(train: Dataset, test: Dataset) -> Dataset:
    """Base and validation classes of ``train``, novel classes of ``test``; the spec, hence normalisation, of ``train``.

    Raises:
        DataError: ``test`` has no novel classes, its images have another size, or a class that ``train`` trains on
            or selects by is among them, by name.
    """
    if test.test is None:
        raise DataError(f"{test.spec.name} has no novel classes to test on: choose another --test-dataset")
    for split in (train.train, train.val):
        if split is None:
            continue
        if split.images.shape[1:] != test.test.images.shape[1:]:
            raise DataError(
                f"images of {test.spec.name} are {_size(test.test)}, those of {train.spec.name} are {_size(split)}: "
                "a network trained on one size cannot be tested on the other; choose a dataset of the same size, or "
                "images of your own with folder:PATH and --image-size"
            )
        shared = sorted(set(split.class_names) & set(test.test.class_names))
        if shared:
            raise DataError(
                f"{len(shared)} novel classes of {test.spec.name} are among the {split.name} classes of "
                f"{train.spec.name}, {shared[0]!r} first: they would be no novel classes; choose another --test-dataset"
            )
    return replace(train, test=test.test, notes=(*train.notes, *(n for n in test.notes if n not in train.notes)))


def _size(split: Split) -> str:
    return "×".join(map(str, split.images.shape[1:]))

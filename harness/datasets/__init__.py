"""The datasets that the harness brings: their specs, and how one is opened. Importing this imports no numpy."""

from __future__ import annotations

from harness.datasets.cifar import CIFAR_FS, FC100
from harness.datasets.glyphs import GLYPHS
from harness.types import DataRequest, Dataset, DatasetSpec

SPECS: tuple[DatasetSpec, ...] = (GLYPHS, CIFAR_FS, FC100)


def open_dataset(spec: DatasetSpec, request: DataRequest) -> Dataset:
    """The dataset, its images memory-mapped. Raises DataError where it is missing, saying how to get it."""
    return spec.open(request)

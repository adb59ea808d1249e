"""The datasets that the harness brings: their specs, and how one is opened. Importing this imports no numpy."""

from __future__ import annotations

from harness.datasets.cifar import CIFAR_FS, FC100
from harness.datasets.cub import CUB
from harness.datasets.folder import FOLDER
from harness.datasets.glyphs import GLYPHS
from harness.datasets.imagenet import MINI, TIERED
from harness.datasets.omniglot import OMNIGLOT
from harness.types import DataRequest, Dataset, DatasetSpec

SPECS: tuple[DatasetSpec, ...] = (GLYPHS, CIFAR_FS, FC100, MINI, TIERED, OMNIGLOT, CUB, FOLDER)


def open_dataset(spec: DatasetSpec, request: DataRequest) -> Dataset:
    """The dataset, its images memory-mapped. Raises DataError where it is missing, saying how to get it."""
    return spec.open(request)

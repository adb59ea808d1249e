"""The datasets that the harness brings: their specs, and how one is opened. Importing this imports no numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.datasets.benchmarks.cifar import CIFAR_FS, FC100
from harness.datasets.benchmarks.cub import CUB
from harness.datasets.benchmarks.folder import FOLDER
from harness.datasets.benchmarks.glyphs import GLYPHS
from harness.datasets.benchmarks.imagenet import MINI, TIERED
from harness.datasets.benchmarks.omniglot import OMNIGLOT

if TYPE_CHECKING:
    from harness.contract.data import DataRequest, Dataset, DatasetSpec

SPECS: tuple[DatasetSpec, ...] = (GLYPHS, CIFAR_FS, FC100, MINI, TIERED, OMNIGLOT, CUB, FOLDER)


def open_dataset(spec: DatasetSpec, request: DataRequest) -> Dataset:
    """The dataset, its images memory-mapped. Raises DataError where it is missing, saying how to get it."""
    return spec.open(request)

"""Which images a bench trains and tests on, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.common.errors import HarnessError
from harness.contract.data import DataRequest, Dataset, Split

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue


@dataclass(frozen=True)
class DataSource:
    """Which images a bench trains and tests on, by name."""

    dataset: str
    root: Path
    train_on: Literal["train", "trainval"] = "train"
    test_dataset: str | None = None
    image_size: int | None = None
    score_on: Literal["test", "val"] = "test"
    split: str | None = None  # of the classes of folder:PATH, see DataRequest
    split_seed: int = 0
    skip_damaged: bool = False

    def open(self, catalogue: Catalogue) -> Dataset:
        """The dataset, its validation classes merged in or its test split exchanged, as asked.

        Scored on the validation classes, it has no test split, so that nothing can touch that.
        """
        from harness.datasets import combine

        dataset = self._open_dataset(catalogue, self.dataset)
        if self.test_dataset is not None:
            dataset = combine.cross(dataset, self._open_dataset(catalogue, self.test_dataset))
        if self.score_on == "val":
            dataset = replace(dataset, test=None)
        return combine.trainval(dataset) if self.train_on == "trainval" else dataset

    def scored(self, dataset: Dataset) -> Split:
        """The split of ``dataset`` that episodes are drawn from."""
        split = dataset.val if self.score_on == "val" else dataset.test
        if split is None:
            missing = "validation classes" if self.score_on == "val" else "test split"
            raise HarnessError(f"{dataset.spec.name} has no {missing}, so there is nothing to score on")
        return split

    def _open_dataset(self, catalogue: Catalogue, name: str) -> Dataset:
        spec, argument = catalogue.dataset(name)
        request = DataRequest(self.root, argument, self.image_size)
        if spec.takes_argument:
            request = replace(request, split=self.split, split_seed=self.split_seed, skip_damaged=self.skip_damaged)
        return spec.open(request)

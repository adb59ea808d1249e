"""A stage to be trained and scored, as plain values that can be sent to wherever the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.runs import StageIdentity, score_key
from harness.types import DataRequest, Dataset, Episodes, EpisodeSpec, Head, Split, Target

if TYPE_CHECKING:
    from harness.plugins import Catalogue

UNBALANCED = 2.0  # Dirichlet concentration of the class proportions among unbalanced queries: Veilleux et al. 2021


@dataclass(frozen=True)
class DataSource:
    """Which images a bench trains and tests on, by name."""

    dataset: str
    root: Path
    train_on: str = "train"  # or "trainval"
    test_dataset: str | None = None
    image_size: int | None = None
    score_on: str = "test"  # or "val"

    def open(self, catalogue: Catalogue) -> Dataset:
        """The dataset, its validation classes merged in or its test split exchanged, as asked.

        Scored on the validation classes, it has no test split, so that nothing can touch that.
        """
        from harness.datasets import combine

        dataset = self._one(catalogue, self.dataset)
        if self.test_dataset is not None:
            dataset = combine.cross(dataset, self._one(catalogue, self.test_dataset))
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

    def _one(self, catalogue: Catalogue, name: str) -> Dataset:
        spec, argument = catalogue.dataset(name)
        return spec.open(DataRequest(self.root, argument, self.image_size))


@dataclass(frozen=True)
class Protocol:
    """Which episodes a stage is scored on, the same for all."""

    specs: tuple[EpisodeSpec, ...]
    n_episodes: int
    seed: int
    targets: tuple[Target, ...] = ("closed", "open")

    def with_unbalanced(self) -> Protocol:
        """And as many episodes with unbalanced queries: balanced ones flatter what looks at all queries at once."""
        unbalanced = tuple(replace(spec, dirichlet=UNBALANCED) for spec in self.specs)
        return replace(self, specs=(*self.specs, *unbalanced))

    def sample(self, split: Split) -> list[Episodes]:
        """The episodes of every kind; open ones only where the split is large enough for two of them."""
        from harness.episodes import sample_episodes

        sampled = [
            sample_episodes(split, spec, self.n_episodes, self.seed, target)
            for target in self.targets
            for spec in self.specs
        ]
        return [episodes for episodes in sampled if episodes.target == "closed" or len(episodes) > 1]


@dataclass(frozen=True)
class Machine:
    """What to run on, as requested."""

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    devices: int = 1

    def check(self) -> None:
        """Raise HarnessError where this computer is no such machine."""
        from harness.hardware import check_names, choose_hardware

        check_names(self.device, self.precision)
        if self.device.startswith("cuda") or self.devices > 1:
            choose_hardware(self.device, self.precision, devices=self.devices)


@dataclass(frozen=True, eq=False)
class StageJob:
    """A stage with a seed, to be trained unless it is, and scored where it is not."""

    label: str
    method: str
    stage: str
    options: Mapping[str, Any]
    backbone: str | None
    weights: Path | None
    head: Head | None
    seed: int
    depth: int  # how many stages lie before it; the first stages of all methods start from the same backbone
    identity: StageIdentity
    folder: Path
    parent_folder: Path | None
    source: DataSource
    protocol: Protocol
    machine: Machine
    classifier_version: int | None = None  # of the head's

    def score_key(self, episodes: Episodes) -> str:
        return score_key(self.key, episodes, self.head, self.protocol.seed, self.classifier_version)

    @property
    def key(self) -> str:
        return self.identity.key

    @property
    def name(self) -> str:
        return f"{self.label}/{self.stage}"

"""How an epoch is cut into training steps: shuffled images, or episodes whose layout a batch knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.common.errors import HarnessError, PluginError

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.data import Split


@dataclass(frozen=True)
class EpisodeLayout:
    """How the episodes of a step lie in it: one after the other, class by class, supports before queries."""

    n_episodes: int
    n_way: int
    k_shot: int
    n_query: int

    @property
    def size(self) -> int:
        """Images in all."""
        return self.n_episodes * self.n_way * (self.k_shot + self.n_query)


@dataclass(frozen=True, eq=False)
class Step:
    """The images of a training step, and how they make episodes where they do."""

    index: np.ndarray  # (B,) int64 into the split
    episodes: EpisodeLayout | None = None


class Batches(Protocol):
    """How an epoch is cut into steps."""

    @property
    def size(self) -> int:
        """Images a step, B; their mean number where steps differ."""

    @property
    def divisible(self) -> bool:
        """Whether a step may be divided over several processes."""

    def epoch(self, split: Split, generator: np.random.Generator) -> Iterable[np.ndarray | Step]:
        """The steps of an epoch; an array (B,) of indices into the split is a step without episodes."""


@dataclass(frozen=True)
class ShuffledBatches:
    """Every image once an epoch, in a new order; the last partial batch is dropped."""

    size: int = 64
    divisible: bool = True

    def epoch(self, split: Split, generator: np.random.Generator) -> np.ndarray:
        """Indices (steps, B) int64 into the split."""
        import numpy as np

        order = generator.permutation(len(split))
        steps = max(1, len(order) // self.size)
        return np.resize(order, (steps, self.size))  # a split smaller than a batch is repeated to fill it


@dataclass(frozen=True)
class EpisodicBatches:
    """Training episodes, one or several a step. Supports and queries of a class are drawn evenly from its images.

    ``n_way`` and ``k_shot`` are numbers, or (lowest, highest) of which each step draws its own. The supports of a class
    come in random order, so that the first k of them are a k-shot support: shots are nested.
    """

    n_way: int | tuple[int, int]
    k_shot: int | tuple[int, int]
    n_query: int
    per_epoch: int = 100  # steps an epoch
    divisible: bool = False  # a query needs all supports of its episode: the loss must gather them
    episodes: int = 1  # a step: the meta-batch

    def __post_init__(self) -> None:
        for name in ("n_way", "k_shot"):
            low, high = _range(getattr(self, name))
            if not 0 < low <= high:
                raise PluginError(
                    f"EpisodicBatches: {name} = {getattr(self, name)}: give a number or (lowest, highest)"
                )
        if self.divisible and self._varies:
            raise PluginError("EpisodicBatches: steps that differ in size cannot be divisible over processes")

    @property
    def _varies(self) -> bool:
        return isinstance(self.n_way, tuple) or isinstance(self.k_shot, tuple)

    @property
    def size(self) -> int:
        way, shot = (sum(_range(bounds)) / 2 for bounds in (self.n_way, self.k_shot))
        return round(self.episodes * way * (shot + self.n_query))

    def epoch(self, split: Split, generator: np.random.Generator) -> list[Step]:
        """The steps of an epoch.

        Raises:
            HarnessError: an episode does not fit the base classes.
        """
        import numpy as np

        counts = np.bincount(split.labels, minlength=split.n_classes)
        highest_way, most_images = _range(self.n_way)[1], _range(self.k_shot)[1] + self.n_query
        if highest_way > split.n_classes or most_images > counts.min():
            raise HarnessError(
                f"training episodes of {highest_way} classes with {most_images} images each do not fit the base "
                f"classes: there are {split.n_classes}, the smallest with {counts.min()} images. Lower the train_* "
                "options"
            )
        by_class = np.split(np.argsort(split.labels, kind="stable"), np.cumsum(counts)[:-1])
        return [self._step(by_class, generator) for _ in range(self.per_epoch)]

    def _step(self, by_class: Sequence[np.ndarray], generator: np.random.Generator) -> Step:
        import numpy as np

        way, shot = _drawn(self.n_way, generator), _drawn(self.k_shot, generator)
        index = [
            generator.choice(by_class[label], shot + self.n_query, replace=False)
            for _ in range(self.episodes)
            for label in generator.choice(len(by_class), way, replace=False)
        ]
        return Step(np.concatenate(index), EpisodeLayout(self.episodes, way, shot, self.n_query))


def _range(bounds: int | tuple[int, int]) -> tuple[int, int]:
    return bounds if isinstance(bounds, tuple) else (bounds, bounds)


def _drawn(bounds: int | tuple[int, int], generator: np.random.Generator) -> int:
    return int(generator.integers(*bounds, endpoint=True)) if isinstance(bounds, tuple) else bounds

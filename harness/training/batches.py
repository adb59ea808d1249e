"""The batches of a training: which images, changed how, and what episodes they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.common.errors import HarnessError
from harness.common.randomness import numpy_generator, torch_generator
from harness.contract.batches import EpisodeLayout, Step
from harness.contract.training import Batch, TrainingEpisodes
from harness.images.views import Views

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec, Split
    from harness.contract.recipe import Recipe
    from harness.training.feed import ImageFeed


@dataclass(frozen=True)
class BatchStream:
    """The batches of one phase of a training, or this process's share of each."""

    split: Split
    dataset: DatasetSpec
    recipe: Recipe
    feed: ImageFeed
    device: torch.device
    seed: int
    phase: int
    rank: int = 0
    world_size: int = 1

    def steps(self, epoch: int) -> list[Step]:
        """The steps of an epoch, whole."""
        generator = numpy_generator(self.seed, "order", self.phase, epoch)
        drawn = self.recipe.batches.epoch(self.split, generator)
        return [step if isinstance(step, Step) else Step(np.asarray(step).reshape(-1)) for step in drawn]

    def batches(self, epoch: int, steps: Sequence[Step]) -> Iterator[Batch]:
        """This process's share of each of the epoch's ``steps``, in order.

        The n-th image of an epoch meets the same changes however many processes share the work.
        """
        sizes = [len(step.index) for step in steps]
        parts = [self._part(size) for size in sizes]
        generators = [self._generator(epoch, view) for view in range(self.recipe.views)]
        if self._views.whole_batches or self.world_size == 1:
            images = self._views.stream(self.feed([step.index for step in steps]), sum(sizes), generators, None)
        else:
            starts = np.cumsum([0, *sizes[:-1]])
            places = np.concatenate([start + np.arange(part.start, part.stop) for start, part in zip(starts, parts)])  # noqa: B905
            shares = self.feed([step.index[part] for step, part in zip(steps, parts, strict=True)])
            images = self._views.stream(shares, sum(sizes), generators, torch.from_numpy(places).to(self.device))
        for step, part, (changed, labels) in zip(steps, parts, images, strict=True):
            if self._views.whole_batches and self.world_size > 1:
                changed, labels = changed.unflatten(0, (self.recipe.views, -1))[:, part].flatten(0, 1), labels[part]
            episodes = on_device(step.episodes, self.device) if step.episodes is not None else None
            yield Batch(changed, labels, self.recipe.views, episodes)

    @cached_property
    def _views(self) -> Views:
        asked = self.recipe.augmentation
        by_view = asked if isinstance(asked, tuple) else (asked,) * self.recipe.views
        augmentations = [self.dataset.augmentation if kind is None else kind for kind in by_view]
        return Views(augmentations, self.dataset.mean, self.dataset.std)

    def _generator(self, epoch: int, view: int) -> torch.Generator:
        which = ("view", view) if view else ()
        return torch_generator(self.device, self.seed, "augment", self.phase, epoch, *which)

    def _part(self, size: int) -> slice:
        if size % self.world_size:
            raise HarnessError(f"a batch of {size} images cannot be divided over {self.world_size} processes")
        share = size // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)


@lru_cache(maxsize=256)  # a copy to a GPU a step would stall it
def on_device(layout: EpisodeLayout, device: torch.device) -> TrainingEpisodes:
    """The episodes of a batch of this layout."""
    per_class = layout.k_shot + layout.n_query
    places = torch.arange(layout.size, device=device).view(layout.n_episodes, layout.n_way, per_class)
    labels = torch.arange(layout.n_way, device=device)[:, None].expand(layout.n_episodes, -1, per_class)
    support, query = slice(None, layout.k_shot), slice(layout.k_shot, None)
    return TrainingEpisodes(
        layout.n_way,
        layout.k_shot,
        layout.n_query,
        support=places[:, :, support].flatten(1),
        query=places[:, :, query].flatten(1),
        support_labels=labels[:, :, support].flatten(1),
        query_labels=labels[:, :, query].flatten(1),
    )

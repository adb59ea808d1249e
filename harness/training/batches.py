"""Which images a training step sees: shuffled or episodic indices, and the images fetched ahead of their step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    import torch

    from harness.contract.data import Split


RESIDENT_SHARE = 0.25  # of a GPU's memory: a split up to this size is held there whole

AHEAD = 8  # batches that are fetched before they are needed

BLOCK = 4096  # images that are copied to a GPU at once


@dataclass(frozen=True)
class ShuffledBatches:
    """Every image once an epoch, in a new order; the last partial batch is dropped."""

    size: int
    divisible: bool = True

    def epoch(self, split: Split, generator: np.random.Generator) -> np.ndarray:
        order = generator.permutation(len(split))
        steps = max(1, len(order) // self.size)
        return np.resize(order, (steps, self.size))  # a split smaller than a batch is repeated to fill it


@dataclass(frozen=True)
class EpisodicBatches:
    """A training episode a step: classes one after the other, each ``k_shot`` supports and then ``n_query`` queries."""

    n_way: int
    k_shot: int
    n_query: int
    per_epoch: int = 100
    divisible: bool = False  # a query needs all supports of its episode: the loss must gather them

    @property
    def size(self) -> int:
        return self.n_way * (self.k_shot + self.n_query)

    def epoch(self, split: Split, generator: np.random.Generator) -> np.ndarray:
        counts = np.bincount(split.labels, minlength=split.n_classes)
        each = self.k_shot + self.n_query
        if self.n_way > split.n_classes or each > counts.min():
            raise HarnessError(
                f"training episodes of {self.n_way} classes with {each} images each do not fit the base classes: "
                f"there are {split.n_classes}, the smallest with {counts.min()} images. Lower the train_* options"
            )
        by_class = np.split(np.argsort(split.labels, kind="stable"), np.cumsum(counts)[:-1])
        episodes = [
            [
                generator.choice(by_class[label], each, replace=False)
                for label in generator.choice(split.n_classes, self.n_way, replace=False)
            ]
            for _ in range(self.per_epoch)
        ]
        return np.array(episodes).reshape(self.per_epoch, self.size)


class ImageFeed:
    """The images of a split on the training device, by index: held there whole if they fit, else fetched ahead."""

    def __init__(self, split: Split, device: torch.device) -> None:
        import torch

        self._split = split
        self._device = device
        self.labels = torch.from_numpy(np.array(split.labels)).to(device)  # (N,)
        self._resident: torch.Tensor | None = None
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            if int(np.prod(split.images.shape)) <= min(RESIDENT_SHARE * total, free / 2):
                self._resident = torch.empty(split.images.shape, dtype=torch.uint8, device=device)
                for start in range(0, len(split), BLOCK):
                    self._resident[start : start + BLOCK] = torch.from_numpy(
                        np.ascontiguousarray(split.images[start : start + BLOCK])
                    )

    def __call__(self, steps: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images (B, H, W, C) uint8 and labels (B,) on the device for each row of ``steps`` (n, B), in order."""
        import torch

        labels = self.labels[torch.from_numpy(steps).to(self._device)]  # (n, B), at once: a copy to a GPU stalls it
        if self._resident is not None:
            for index, of_step in zip(torch.from_numpy(steps).to(self._device), labels, strict=True):
                yield self._resident[index], of_step
            return
        with ThreadPoolExecutor(1, thread_name_prefix="harness-feed") as pool:
            pending: list[Future[torch.Tensor]] = []
            for step in range(len(steps) + AHEAD):
                if step < len(steps):
                    pending.append(pool.submit(self._read, steps[step]))
                if step >= AHEAD:
                    yield pending.pop(0).result().to(self._device, non_blocking=True), labels[step - AHEAD]

    def _read(self, index: np.ndarray) -> torch.Tensor:
        import torch

        images = torch.from_numpy(np.ascontiguousarray(self._split.images[index]))
        return images.pin_memory() if self._device.type == "cuda" else images

"""Features of the images and views that some episode uses, each embedded once, however many episodes use it.

View 0 of an image is the image itself; view v > 0 is a random crop and flip that depends on (view_seed, image, v)
alone, so that all methods see the same views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from harness.common.errors import PluginError
from harness.common.randomness import numpy_generator
from harness.contract.data import Augmentation, Split
from harness.images.augment import crop_and_flip

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes
    from harness.contract.learners import Embedder

BATCH_IMAGES = {"cpu": 256, "cuda": 2048}  # of 32×32 pixels; larger images come in smaller batches, for memory's sake
NO_AUGMENTATION = Augmentation()
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """A progress report that goes nowhere."""


@dataclass(frozen=True, eq=False)
class ViewSource:
    """Where the views of a split's images come from."""

    split: Split
    augmentation: Augmentation = NO_AUGMENTATION
    seed: int = 0
    device: torch.device | str = "cpu"
    views: int = 1  # how many views of an image there are

    @cached_property
    def _parameters(self) -> np.ndarray:
        """(views, 3, N) int64: top row and left column of each crop from the padded image; 1 where it is flipped."""
        n, padding = len(self.split), self.augmentation.crop_padding
        parameters = np.empty((self.views, 3, n), np.int64)
        parameters[0] = [[padding], [padding], [0]]
        for view in range(1, self.views):
            row, column, flip = (
                numpy_generator(self.seed, "view", view, w).random(n) for w in ("row", "column", "flip")
            )
            parameters[view] = (
                (2 * padding + 1) * row,
                (2 * padding + 1) * column,
                (flip < 0.5) & self.augmentation.flip,
            )
        return parameters

    @property
    def batch_size(self) -> int:
        """How many views are embedded at once."""
        height, width = self.split.images.shape[1:3]
        most = BATCH_IMAGES[torch.device(self.device).type]
        return max(16, min(most, most * 32 * 32 // (height * width)))

    def read(self, images: np.ndarray, views: np.ndarray) -> Tensor:
        """Views (P, H, W, C) uint8 on the device, of pairs of an image and a view, (P,) each."""
        unique, inverse = np.unique(images, return_inverse=True)  # sorted, as a memory map likes it
        pixels = torch.from_numpy(np.ascontiguousarray(self.split.images[unique])).to(self.device)
        pixels = pixels[torch.from_numpy(inverse.reshape(-1)).to(self.device)]
        if not views.any():
            return pixels
        rows, columns, flips = torch.from_numpy(self._parameters[views, :, images].T.copy()).to(self.device)
        return crop_and_flip(pixels, rows, columns, flips.bool(), self.augmentation.crop_padding)


@dataclass(frozen=True, eq=False)
class Embedding:
    """Features of some views of some images."""

    features: Tensor  # (M, D) float32
    pairs: np.ndarray  # (M, 2) int64, image and view of each row, sorted

    def rows(self, images: np.ndarray, views: int) -> np.ndarray:
        """Row numbers (…, views) of views 0..views-1 of ``images`` (…)."""
        table = np.full((int(self.pairs[:, 0].max()) + 1, max(views, int(self.pairs[:, 1].max()) + 1)), -1)
        table[self.pairs[:, 0], self.pairs[:, 1]] = np.arange(len(self.pairs))
        return table[images][..., :views]


def used_pairs(episodes: Sequence[Episodes], views: int, n_images: int) -> np.ndarray:
    """The images and views that some episode uses, (M, 2), sorted: queries raw, supports in views 0..views-1."""
    used = np.zeros((n_images, views), bool)
    for episode_set in episodes:
        used[episode_set.query.reshape(-1), 0] = True
        used[episode_set.support.reshape(-1)] = True
    return np.argwhere(used)


def embed(
    learner: Embedder,
    source: ViewSource,
    pairs: np.ndarray,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    progress: Progress = silent,
) -> Tensor:
    """Features (M, D) float32, on the source's device, of pairs (M, 2) of an image and a view.

    Args:
        progress: called after each batch with how many pairs are done and how many there are.
    Raises:
        PluginError: what the learner returned is not (N, D) finite floats.
    """
    features: list[Tensor] = []
    size = source.batch_size
    for start in range(0, len(pairs), size):
        batch = pairs[start : start + size]
        filled = np.resize(batch, (size, 2))  # so that every batch runs the same kernels and gives the same bits
        with torch.inference_mode(), autocast():
            output = learner.embed(source.read(filled[:, 0], filled[:, 1]))
        _check(learner, output, size, features[0].shape[1] if features else None)
        features.append(output[: len(batch)].float())
        progress(start + len(batch), len(pairs))
    together = torch.cat(features)
    if not bool(together.isfinite().all()):
        name = type(learner).__name__
        raise PluginError(f"{name}.embed() returned features that are NaN or infinite: has its training diverged?")
    return together


def _check(learner: Any, output: Any, n_images: int, n_features: int | None) -> None:
    name = f"{type(learner).__name__}.embed()"
    if not isinstance(output, Tensor) or not output.is_floating_point():
        returned = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise PluginError(f"{name} returned {returned}; it must return a float32 tensor")
    if output.ndim != 2 or len(output) != n_images or not output.shape[1] or n_features not in (None, output.shape[1]):
        expected = f"({n_images}, {n_features or 'D'})"
        raise PluginError(f"{name} returned shape {tuple(output.shape)} for {n_images} images, not {expected}")

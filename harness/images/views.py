"""Several views of each image of a batch, each changed at random by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import tee
from typing import Any, Protocol

import torch

from harness.common.errors import PluginError
from harness.contract.data import Augmentation
from harness.images.augment import Augmenter, normalise

Pair = tuple[torch.Tensor, torch.Tensor]  # images and labels of a batch


class Changer(Protocol):
    """What changes batches, with what is drawn for an epoch."""

    def draw(self, n: int, generator: torch.Generator) -> Any: ...

    def stream(self, batches: Iterable[Pair], drawn: Any) -> Iterator[Pair]: ...


class ChangerOfAuthors:
    """A method's own change of uint8 batches, normalised afterwards; it draws from the generator a batch at a time."""

    def __init__(self, change: Callable[..., torch.Tensor], mean: Sequence[float], std: Sequence[float]) -> None:
        self._change = change
        self._mean, self._std = torch.tensor(mean), torch.tensor(std)

    def draw(self, n: int, generator: torch.Generator) -> torch.Generator:
        return generator

    def stream(self, batches: Iterable[Pair], drawn: torch.Generator) -> Iterator[Pair]:
        for images, labels in batches:
            changed = self._change(images, drawn)
            if changed.shape != images.shape:
                raise PluginError(
                    f"the recipe's augmentation made {tuple(changed.shape)} of images {tuple(images.shape)}: it must "
                    "return the shape that it was given, (N, H, W, C)"
                )
            self._mean, self._std = self._mean.to(images.device), self._std.to(images.device)
            yield normalise(changed, self._mean, self._std), labels


class Views:
    """One changer a view.

    Args:
        augmentations: one for each view: the dataset's kind, or a change of the method's own.
        mean, std: one number a channel, of pixels scaled to 0..1.
    """

    def __init__(
        self, augmentations: Sequence[Augmentation | Callable[..., Any]], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.whole_batches = not all(isinstance(augmentation, Augmentation) for augmentation in augmentations)
        self._changers: list[Changer] = [
            Augmenter(augmentation, mean, std)
            if isinstance(augmentation, Augmentation)
            else ChangerOfAuthors(augmentation, mean, std)
            for augmentation in augmentations
        ]

    def stream(
        self, batches: Iterable[Pair], n_images: int, generators: Sequence[torch.Generator], places: torch.Tensor | None
    ) -> Iterator[Pair]:
        """Images (views·B, C, H, W) float32 in channels_last, view after view, and labels (B,) of each batch.

        Args:
            batches: images (B, H, W, C) uint8 and labels (B,).
            n_images: what the epoch has in all processes together; so many parameters are drawn for each view.
            generators: one for each view.
            places: which of these images the batches hold, one batch after the other; None: all, in order.
        """
        streams = []
        copies = tee(batches, len(self._changers))
        for changer, generator, copy in zip(self._changers, generators, copies, strict=True):
            drawn = changer.draw(n_images, generator)
            chosen = drawn if places is None or isinstance(changer, ChangerOfAuthors) else drawn[places]
            streams.append(changer.stream(copy, chosen))
        if len(streams) == 1:
            yield from streams[0]
            return
        for views in zip(*streams, strict=True):
            images = torch.cat([images for images, _ in views])
            yield images.contiguous(memory_format=torch.channels_last), views[0][1]

"""A backbone trained with a loss of metric learning, whose weights, where it has any, are part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import FeatureNetwork, ShuffledBatches
from harness_metric.losses import criterion
from harness_metric.pretraining import OF_PAIRS, MetricOptions

if TYPE_CHECKING:
    import torch

    from harness import Batch, Batches, BuildContext, Split


class MetricNetwork(FeatureNetwork):
    """A feature network and its loss."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__(context)
        self.criterion = criterion(context.options, self.n_features, context.n_classes)


def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    return {"loss": network.criterion(network(batch.images), batch.labels)}


def batches(options: MetricOptions) -> Batches:
    """Shuffled images; where a loss looks at pairs, several images of each class in a batch.

    Neither is divided over processes: the weights of a loss lie outside what they share.
    """
    if options.loss not in OF_PAIRS:
        return ShuffledBatches(options.batch_size, divisible=False)
    return ClassBalancedBatches(options.batch_size, options.per_class or (4 if "triplet" in options.loss else 2))


@dataclass(frozen=True)
class ClassBalancedBatches:
    """Steps of ``size`` images, ``per_class`` of each of some classes; more of each where there are too few classes."""

    size: int
    per_class: int
    divisible: bool = False

    def epoch(self, split: Split, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """As many steps (size,) as a pass over the split's images has."""
        by_class = [np.flatnonzero(split.labels == label) for label in range(split.n_classes)]
        n_classes = min(split.n_classes, max(2, self.size // self.per_class))
        counts = np.full(n_classes, self.size // n_classes)
        counts[: self.size % n_classes] += 1
        for _ in range(max(1, len(split) // self.size)):
            chosen = generator.choice(split.n_classes, n_classes, replace=False)
            yield np.concatenate(
                [
                    generator.choice(by_class[label], count, replace=count > len(by_class[label]))
                    for label, count in zip(chosen, counts, strict=True)
                ]
            )

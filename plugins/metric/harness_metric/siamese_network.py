"""Siamese networks: pairs of base images, and the distance that tells whether they are of one class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from harness import in_float32
from harness_metric.comparison import Comparison, class_means

if TYPE_CHECKING:
    from harness import Batch, BuildContext, Split


@dataclass(frozen=True)
class PairBatches:
    """Pairs of images: the first of each lie in the first half of a step, the second in the second half.

    The first image is any image; the second is, half of the time, another of its class, else of another class.
    """

    pairs: int
    per_epoch: int
    divisible: bool = False

    @property
    def size(self) -> int:
        return 2 * self.pairs

    def epoch(self, split: Split, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Steps (2·pairs,) of indices into the split."""
        labels = np.asarray(split.labels)
        order = np.argsort(labels, kind="stable")  # a class's images stand together
        counts = np.bincount(labels, minlength=split.n_classes)
        starts = np.cumsum(counts) - counts
        place = np.empty_like(order)  # of an image within its class
        place[order] = np.arange(len(labels)) - np.repeat(starts, counts)
        same = np.arange(self.pairs) < self.pairs // 2
        for _ in range(self.per_epoch):
            first = generator.integers(len(labels), size=self.pairs)
            shift = generator.integers(1, split.n_classes, size=self.pairs)
            partner = np.where(same, labels[first], (labels[first] + shift) % split.n_classes)
            any_of_it = generator.integers(counts[partner])
            another = (place[first] + generator.integers(1, np.maximum(2, counts[partner]))) % counts[partner]
            second = order[starts[partner] + np.where(same, another, any_of_it)]
            yield np.concatenate([first, second])


class SiameseNetwork(Comparison):
    """The log-odds that two images are of one class: a weighted L1 distance of sigmoid units over the backbone.

    Source: Koch et al. 2015, section 3.1. With several supports a class, the log-odds are averaged over them.
    """

    def __init__(self, context: BuildContext) -> None:
        super().__init__(context)
        self.units = nn.Linear(self.n_features, context.options.width)
        self.weigh = nn.Linear(context.options.width, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Sigmoid units (N, width) float32 of normalised images (N, C, H, W) float32."""
        return in_float32(self.units, super().forward(images)).sigmoid()

    def log_odds(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """(P,) of pairs (P, width) and (P, width)."""
        return self.weigh((first - second).abs()).squeeze(1)

    def compare(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor:
        """Mean log-odds (E, Q, n_way) with the supports of each class."""
        weights = self.weigh.weight[0]  # (width,)
        # w·|a - b| is |w·a - w·b| where w > 0, less that where w < 0: two L1 distances, and no (E, Q, S, width).
        towards, apart = weights.clamp(min=0), (-weights).clamp(min=0)
        distance = torch.cdist(query * towards, support * towards, p=1) - torch.cdist(
            query * apart, support * apart, p=1
        )
        return class_means((distance + self.weigh.bias).mT, support_labels, n_way).mT


def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Binary cross-entropy of pairs. Source: Koch et al. 2015, section 3.2."""
    first, second = network(batch.images).chunk(2)
    labels, others = batch.labels.chunk(2)
    log_odds = network.log_odds(first, second)
    return {"loss": F.binary_cross_entropy_with_logits(log_odds, (labels == others).float())}

"""Relation networks: embedding module, relation module, mean squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from harness_metric.comparison import Comparison, class_means, kaiming, map_shape

if TYPE_CHECKING:
    from harness import Batch, BuildContext


class RelationNetwork(Comparison):
    """The maps of a query beside those of a class, the mean over its supports, go through a relation module.

    Departure: the paper sums them. The mean differs by a factor, and lets a network score other shots than it met.

    Source: arXiv:1711.06025, section 3. A backbone without maps gives its features as maps of one place.
    """

    def __init__(self, context: BuildContext) -> None:
        super().__init__(context)
        channels, *sides = map_shape(self, context.dataset.channels, context.dataset.image_size)
        self.relate = RelationModule(channels, min(sides), context.options.width, context.options.hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (N, C', H', W') float32 of normalised images (N, C, H, W) float32."""
        return self.maps(images)

    def compare(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor:
        """Relations (E, Q, n_way) before the sigmoid."""
        return self.relate(class_means(support, support_labels, n_way), query)


class RelationModule(nn.Module):
    """Two blocks of convolution, BatchNorm, ReLU and 2×2 max-pool, then two linear layers.

    Convolutions pad where maps are below 10×10, and blocks pool what is 2×2 or larger, so that small maps go through
    too. The paper's maps are 19×19.

    Source: arXiv:1711.06025, figure 2.
    """

    def __init__(self, channels: int, side: int, width: int, hidden: int) -> None:
        super().__init__()
        self.padding = int(side < 10)
        self.first = nn.Conv2d(2 * channels, width, 3, padding=self.padding)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=self.padding)
        self.second_norm = nn.BatchNorm2d(width)
        for _ in range(2):
            side = side - 2 + 2 * self.padding
            side = side // 2 if side > 1 else side
        self.hidden = nn.Linear(width * side**2, hidden)
        self.relation = nn.Linear(hidden, 1)
        kaiming(self)

    def forward(self, classes: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """Relations (E, Q, n_way) before the sigmoid, of maps (E, n_way, C, H, W) and (E, Q, C, H, W)."""
        pairs = self._first_of_pairs(classes, query)  # (E, Q, n_way, width, H, W)
        maps = _pooled(F.relu(self.first_norm(pairs.flatten(0, 2))))
        maps = _pooled(F.relu(self.second_norm(self.second(maps))))
        relations = self.relation(F.relu(self.hidden(maps.flatten(1))))
        return relations.view(pairs.shape[:3])

    def _first_of_pairs(self, classes: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """The first convolution of each class's maps with each query's behind them.

        A convolution of concatenated maps is the sum of one of each half: once an image, not once a pair.
        """
        of_class, of_query = self.first.weight.chunk(2, dim=1)
        left = F.conv2d(classes.flatten(0, 1), of_class, self.first.bias, padding=self.padding)
        right = F.conv2d(query.flatten(0, 1), of_query, padding=self.padding)
        return left.unflatten(0, classes.shape[:2])[:, None] + right.unflatten(0, query.shape[:2])[:, :, None]


def _pooled(maps: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(maps, 2) if min(maps.shape[2:]) > 1 else maps


def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """Mean squared error of relations, 1 where query and class are one, else 0. Source: arXiv:1711.06025, eq. 2."""
    episodes = batch.episodes
    assert episodes is not None
    support, query = episodes.split(network(batch.images))
    relations = network.compare(support, episodes.support_labels, query, episodes.n_way).sigmoid()
    return {"loss": F.mse_loss(relations, F.one_hot(episodes.query_labels, episodes.n_way).float())}

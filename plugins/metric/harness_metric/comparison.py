"""What the networks that compare queries with supports share: they classify whole episodes, many at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional as F

from harness import EpisodeBatch, FeatureNetwork


class Comparison(FeatureNetwork, ABC):
    """A learner that classifies the queries of episodes by comparing them with the supports."""

    @abstractmethod
    def compare(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor:
        """Scores (E, Q, n_way), higher for likelier.

        Args:
            support: (E, S, …) float32, what ``forward`` makes of the supports.
            support_labels: (E, S) int64, 0..n_way-1.
            query: (E, Q, …) float32, what ``forward`` makes of the queries.
        """

    def predict(self, batch: EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way) of episodes as the evaluation hands them over; no gradient is kept."""
        n_supports = batch.support.shape[1]
        images = torch.cat([batch.support, batch.query], dim=1)  # (E, S + Q, H, W, C)
        with torch.no_grad():
            inputs = self(self.normalised(images.flatten(0, 1))).float().unflatten(0, images.shape[:2])
            with torch.autocast(inputs.device.type, enabled=False):
                return self.compare(inputs[:, :n_supports], batch.support_labels, inputs[:, n_supports:], batch.n_way)


def class_means(supports: torch.Tensor, labels: torch.Tensor, n_way: int) -> torch.Tensor:
    """Means (E, n_way, …) of what there is of each support, (E, S, …), over those of a class, labels (E, S) int64."""
    members = F.one_hot(labels, n_way).to(supports.dtype)  # (E, S, n_way)
    means = (members / members.sum(dim=1, keepdim=True)).mT @ supports.flatten(2)
    return means.unflatten(2, supports.shape[2:])


def map_shape(network: FeatureNetwork, channels: int, image_size: int) -> tuple[int, int, int]:
    """(C', H', W') of the maps that a network's backbone makes of images."""
    training = network.training
    with torch.no_grad():
        shape = network.eval().maps(torch.zeros(1, channels, image_size, image_size)).shape
    network.train(training)
    return shape[1], shape[2], shape[3]


def kaiming(module: nn.Module) -> None:
    """Start the convolutions of ``module`` as those of the backbones."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

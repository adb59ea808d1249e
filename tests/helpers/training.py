"""A small network and its loss, for the tests of training."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, n_classes: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(4),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(128, n_classes),
            )

    def forward(self, images):
        return self.layers(images)


def cross_entropy(network, batch, views=1):
    return {"loss": F.cross_entropy(network(batch.images), batch.labels.repeat(views))}


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)

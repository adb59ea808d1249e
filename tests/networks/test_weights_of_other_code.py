"""Weights of networks as other people's code names them: the features are those of that code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.networks.backbones.weights import load_weights
from tests.helpers.networks import ChenConv4, RfsResNet12, build, features


class RfsConv4(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for number in range(1, 5):
            parts = nn.Conv2d(3 if number == 1 else 64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
            setattr(self, f"layer{number}", nn.Sequential(*parts, *([nn.MaxPool2d(2)] if number < 4 else [])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


def snell_conv4() -> nn.Module:
    def block(n_in: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2))

    return nn.Sequential(*(block(64 if number else 3) for number in range(4)), nn.Flatten())


def trained(network: nn.Module) -> nn.Module:
    network.train()
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32) + 0.5)  # moves the statistics off their start
    return network


@pytest.mark.parametrize(
    ("name", "make", "prefix", "told"),
    [
        ("resnet12", RfsResNet12, "", "in RFS, SKD and FEAT"),
        ("resnet12", RfsResNet12, "module.", "without 'module.'"),
        ("resnet12", lambda: RfsResNet12(sequential=False), "encoder.", "in Meta-Baseline"),
        ("conv4", ChenConv4, "feature.", "in Chen et al.'s code"),
        ("conv4", snell_conv4, "encoder.", "in Snell et al.'s code"),
        ("conv4-gap", RfsConv4, "module.", "in RFS"),
    ],
)
def test_networks_of_other_code_keep_their_features(name: str, make: Any, prefix: str, told: str, tmp_path: Path):
    source = trained(make())
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save({"epoch": 90, "state_dict": state}, tmp_path / "best.pth")
    network = build(name, 1)
    line = load_weights(network, tmp_path / "best.pth")
    torch.testing.assert_close(features(network), features(source), rtol=1e-4, atol=1e-4)
    assert told in line
    assert "\n" not in line

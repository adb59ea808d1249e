"""Backbones by their names, and networks as other people's code names them."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import nn

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.networks.backbones import SPECS

BUILD = {spec.name: spec.build for spec in SPECS}


def untrained(name: str, size: int = 32, channels: int = 3, argument: str | None = None) -> nn.Module:
    with seeded(0, name):
        return BUILD[name](BackboneRequest(size, channels, argument))


def build(name: str, seed: int = 0, size: int = 32, channels: int = 3, argument: str | None = None) -> nn.Module:
    """An untrained backbone whose norms are as after a training."""
    with seeded(seed, name):
        network = BUILD[name](BackboneRequest(size, channels, argument))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.8, 1.2)
                module.bias.data.uniform_(-0.1, 0.1)
    return network


def features(network: nn.Module, size: int = 32, channels: int = 3) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0)))


class RfsBlock(nn.Module):
    """A block of ResNet-12 as in the code of RFS and SKD: convolutions and norms by number, then the pooling."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.conv3, self.bn3 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.leaky_relu(self.bn1(self.conv1(x)), 0.1)
        out = nn.functional.leaky_relu(self.bn2(self.conv2(out)), 0.1)
        out = nn.functional.leaky_relu(self.bn3(self.conv3(out)) + self.downsample(x), 0.1)
        return nn.functional.max_pool2d(out, 2)


class RfsResNet12(nn.Module):
    def __init__(self, n_classes: int = 64, sequential: bool = True) -> None:
        super().__init__()
        widths = (3, 64, 160, 320, 640)
        for number in range(4):
            block = RfsBlock(widths[number], widths[number + 1])
            setattr(self, f"layer{number + 1}", nn.Sequential(block) if sequential else block)
        self.classifier = nn.Linear(640, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


class ChenBlock(nn.Module):
    """A block of Conv4 as in Chen et al.'s code, where each module has two names."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.C, self.BN = nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.trunk = nn.Sequential(self.C, self.BN, nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x)


class ChenConv4(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(ChenBlock(64 if block else 3) for block in range(4)), nn.Flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x)


def as_rfs_saves(state: Any) -> Any:
    return {"opt": argparse.Namespace(model="resnet12", lr=0.05, gpus="0"), "model": state}

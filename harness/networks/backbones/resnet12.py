"""ResNet-12: the backbone of RFS and SKD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from harness.networks.backbones.dropblock import DropBlock
from harness.networks.backbones.layers import ConvolutionsAndNorms, MaxPool
from harness.networks.backbones.sizes import refuse_small

_PARTS = ("conv1", "bn1", None, "conv2", "bn2", None, "conv3", "bn3")  # of a block's path, in the code of RFS


def _spelling(layer: str) -> dict[str, str]:
    """The beginnings of this network's names → those of other code, in which ``layer`` names a block."""
    spelt = {}
    for block in range(4):
        before = layer.format(block + 1)
        for place, part in enumerate(_PARTS):
            if part is not None:
                spelt[f"blocks.{block}.path.{place}."] = f"{before}{part}."
        spelt[f"blocks.{block}.shortcut."] = f"{before}downsample."
    return spelt


WIDTHS = (64, 160, 320, 640)
DROP_RATE = 0.1


class ResNet12(nn.Module):
    """Features (N, 640) of images (N, C, S, S): four residual blocks, then the mean over the map.

    Dropout in the first two blocks, DropBlock in the last two: blocks of 5×5 from 64×64 images on (the literature's
    84×84), of 2×2 below (32×32), and never larger than the map. 12,424,320 parameters for C = 3.

    Source: Tian et al. 2020 (RFS) and their code.
    """

    n_features = WIDTHS[-1]
    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {  # of names in files of weights
        "in RFS, SKD and FEAT": _spelling("layer{}.0."),
        "in Meta-Baseline": _spelling("layer{}."),
    }

    def __init__(self, image_size: int, channels: int = 3) -> None:
        super().__init__()
        refuse_small("resnet12", image_size, 16)
        block_size = 5 if image_size >= 64 else 2
        drops = (nn.Dropout(DROP_RATE), nn.Dropout(DROP_RATE), *(DropBlock(DROP_RATE, block_size) for _ in range(2)))
        inputs = (channels, *WIDTHS)
        self.blocks = nn.Sequential(*map(Block, inputs, WIDTHS, drops))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.blocks(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps(images).mean((2, 3))


class Block(nn.Module):
    """Maps (N, n_out, S // 2, S // 2) of maps (N, n_in, S, S)."""

    def __init__(self, n_in: int, n_out: int, drop: nn.Module) -> None:
        super().__init__()
        self.path = ConvolutionsAndNorms(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = ConvolutionsAndNorms(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.pool = MaxPool()
        self.activate = nn.LeakyReLU(0.1, inplace=True)  # commutes with the pooling, behind it a quarter of the work
        self.drop = drop

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.drop(self.activate(self.pool(self.path(maps) + self.shortcut(maps))))

"""Conv4: the small backbone of the few-shot literature, and the variant of RFS that averages its last maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from harness.networks.backbones.layers import ConvolutionsAndNorms, MaxPool
from harness.networks.backbones.sizes import refuse_small


class Conv4(nn.Module):
    """Features (N, 64·(S // 16)²) of images (N, C, S, S): four times convolution, BatchNorm, ReLU, 2×2 max-pool.

    113,088 parameters for C = 3; 256 features at 32×32, 1,600 at 84×84.

    With ``pools=2`` the last two blocks do not pool: features (N, 64·(S // 4)²), for relation networks.

    Source: Vinyals et al. 2016; initialised as in the code of RFS (Tian et al. 2020).
    """

    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {  # of names in files of weights
        "in RFS (whose own convnet4 neither pools its last map nor flattens it, so its features differ)": {
            f"blocks.{block}.": f"layer{block + 1}." for block in range(4)
        },
        "in Snell et al.'s code": {f"blocks.{block}.": f"{block}." for block in range(4)},
        "in Chen et al.'s code": {
            f"blocks.{block}.{place}.": f"trunk.{block}.{part}."
            for block in range(4)
            for place, part in enumerate(("C", "BN"))
        },
    }

    def __init__(self, image_size: int, channels: int = 3, width: int = 64, pools: int = 4) -> None:
        super().__init__()
        refuse_small("conv4" if pools == 4 else "conv4-np", image_size, 2**pools)
        self.n_features = width * (image_size // 2**pools) ** 2
        self.blocks = nn.Sequential(*(_block(width if i else channels, width, pool=i < pools) for i in range(4)))
        _initialise(self)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.blocks(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps(images).flatten(1)


class Conv4Gap(nn.Module):
    """Features (N, 64) of images (N, C, S, S): as ``Conv4``, but the last block's maps are averaged, not pooled.

    113,088 parameters for C = 3, and 64 features at every image size ("gap": global average pooling).

    Source: the Conv-4 of Tian et al. 2020 (RFS), as in their code.
    """

    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {  # of names in files of weights
        "in RFS": {f"blocks.{block}.": f"layer{block + 1}." for block in range(4)}
    }

    def __init__(self, image_size: int, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        refuse_small("conv4-gap", image_size, 8)
        self.n_features = width
        inputs = (channels, width, width, width)
        self.blocks = nn.Sequential(*(_block(n_in, width, pool=i < 3) for i, n_in in enumerate(inputs)))
        _initialise(self)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        return self.blocks(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps(images).mean((2, 3))


def _block(n_in: int, n_out: int, pool: bool = True) -> nn.Sequential:
    """ReLU commutes with the pooling, value and gradient; behind it it has a quarter of the work."""
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1)
    pooling = [MaxPool()] if pool else []
    return ConvolutionsAndNorms(convolution, nn.BatchNorm2d(n_out), *pooling, nn.ReLU(inplace=True))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

"""Layers that compute what torch's do, in less time where no gradient is asked for."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn


class ConvolutionsAndNorms(nn.Sequential):
    """Modules one after the other; in eval mode on a processor a BatchNorm is part of the convolution before it.

    That spares a pass over the maps; on a GPU, where a batch of 64 is bound by its launches, it would add some.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if self.training or maps.device.type != "cpu":
            return super().forward(maps)
        modules = list(self)
        for before, module, behind in zip([None, *modules], modules, [*modules[1:], None], strict=False):
            if isinstance(module, nn.Conv2d) and isinstance(behind, nn.BatchNorm2d):
                maps = _normalised_convolution(maps, module, behind)
            elif not (isinstance(module, nn.BatchNorm2d) and isinstance(before, nn.Conv2d)):
                maps = module(maps)
        return maps


def _normalised_convolution(maps: torch.Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
    mean, variance = cast("torch.Tensor", norm.running_mean), cast("torch.Tensor", norm.running_var)  # (n_out,)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    return F.conv2d(maps, conv.weight * scale[:, None, None, None], shift, conv.stride, conv.padding)


class MaxPool(nn.Module):
    """2×2 max-pool: (N, C, H // 2, W // 2) of (N, C, H, W).

    Without gradients on a processor as two maxima: torch's own writes the place of every maximum, in 64 bits.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if maps.requires_grad or maps.device.type != "cpu":
            return F.max_pool2d(maps, 2)
        wide = torch.maximum(maps[..., 0:-1:2], maps[..., 1::2])
        return torch.maximum(wide[..., 0:-1:2, :], wide[..., 1::2, :])

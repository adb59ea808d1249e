"""Normalisation within an episode: what takes the place of BatchNorm where weights are adapted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

import harness


class EpisodeNorm(nn.Module):
    """Maps (N, C, H, W) of one episode, normalised by mean and variance of its first ``n_first`` images.

    With the supports first that is "MetaBN" (Bronskill et al. 2020, arXiv:2003.03284): each query's output depends on
    the supports and on itself. With ``n_first`` None all images count, as in the code of MAML. It is the same in train
    and eval mode and keeps no running statistics, which would be those of no adapted network.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps  # (C,)
        self.n_first: int | None = None
        self.fused = False  # in one kernel, whose second derivatives under vmap are off by percents (torch 2.14)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        values = maps.to(torch.promote_types(maps.dtype, torch.float32))
        if self.fused and (self.n_first is None or self.n_first >= len(maps)):
            whole = F.batch_norm(values, None, None, self.weight, self.bias, training=True, eps=self.eps)
            return whole.to(maps.dtype)
        counted = values[: self.n_first]  # all of them for None
        variance, mean = torch.var_mean(counted, dim=(0, 2, 3), correction=0)  # (C,)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], values, scale[:, None, None]).to(maps.dtype)


def within_episodes(network: nn.Module) -> nn.Module:
    """``network``, changed in place: each BatchNorm2d an EpisodeNorm with its scale and offset.

    Raises:
        HarnessError: it has a normalisation over batches of another kind.
    """
    for parent in list(network.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.BatchNorm2d and module.affine:
                setattr(parent, name, EpisodeNorm(module))
            elif isinstance(module, nn.modules.batchnorm._BatchNorm):
                raise harness.HarnessError(
                    f"this method adapts networks whose normalisations are BatchNorm2d, not {type(module).__name__}: "
                    "use --backbone conv4 or resnet12"
                )
    return network


@contextmanager
def normalised_by(network: nn.Module, n_first: int | None, fused: bool = False) -> Iterator[None]:
    """Inside, each EpisodeNorm of ``network`` takes its statistics from the first ``n_first`` images.

    Args:
        fused: whether it may be one kernel where all images count: not under vmap with second derivatives.
    """
    norms = [module for module in network.modules() if isinstance(module, EpisodeNorm)]
    before = [(norm.n_first, norm.fused) for norm in norms]
    try:
        for norm in norms:
            norm.n_first, norm.fused = n_first, fused
        yield
    finally:
        for norm, values in zip(norms, before, strict=True):
            norm.n_first, norm.fused = values

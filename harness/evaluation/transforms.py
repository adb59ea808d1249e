"""The feature transforms that the harness brings, applied before a classifier and chained with ``+``: "centre+l2"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    from harness.contract.heads import BaseStatistics


def none(features: Tensor) -> Tensor:
    """Features (M, D) as they are."""
    return features


def l2(features: Tensor) -> Tensor:
    """Features (M, D) of length one."""
    return torch.nn.functional.normalize(features, dim=1)


def centre(features: Tensor, base: BaseStatistics) -> Tensor:
    """Features (M, D) less the mean feature of the base classes.

    Source: Wang et al. 2019 (SimpleShot), section 3.
    """
    assert base.mean is not None  # its spec asks for it
    return features - base.mean.to(features)


def power(features: Tensor, beta: float = 0.5) -> Tensor:
    """Features raised elementwise to ``beta``, which makes them more Gaussian.

    Args:
        features: (M, D), non-negative.
        beta: exponent in (0, 1].

    Raises:
        HarnessError: a feature is negative.

    Source: Hu et al. 2021 (PT-MAP), eq. 3, without its unit norm: chain ``power+l2`` for that.
    """
    if bool((features < 0).any()):
        raise HarnessError("feature transform 'power' needs features that are not negative, as after a ReLU")
    return features.pow(beta)

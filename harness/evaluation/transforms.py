"""Transforms of features, applied before a classifier and chained with ``+``: "centre+l2"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("none", "l2", "centre", "power")


def check(transform: str) -> tuple[str, ...]:
    """The names in ``transform``, in order.

    Raises:
        UnknownName: one of them is no transform.
        HarnessError: ``centre`` is not the first, so that its mean would be of other features than these.
    """
    names = tuple(transform.split("+"))
    for name in names:
        if name not in NAMES:
            raise UnknownName("feature transform", name, NAMES)
    if "centre" in names[1:]:
        raise HarnessError(f"feature transform {transform!r}: 'centre' subtracts a mean of raw features; put it first")
    return names


def apply(transform: str, features: Tensor, base_mean: Tensor | None = None) -> Tensor:
    """Features (M, D), transformed.

    Args:
        features: (M, D).
        base_mean: (D,), the mean feature of the base classes; only ``centre`` needs it.
    """
    import torch

    for name in check(transform):
        if name == "l2":
            features = torch.nn.functional.normalize(features, dim=1)
        elif name == "power":
            features = power_transform(features, 0.5)
        elif name == "centre":
            if base_mean is None:
                raise HarnessError("feature transform 'centre' needs features of the base classes, which are not there")
            features = features - base_mean.to(features)
    return features


def power_transform(features: Tensor, beta: float) -> Tensor:
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

"""The networks that methods share, so that only the method varies. Importing this package imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.backbones import BackboneRequest, BackboneSpec

if TYPE_CHECKING:
    import torch


def _conv4(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4

    return Conv4(request.image_size, request.channels)


def _conv4_np(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4

    return Conv4(request.image_size, request.channels, pools=2)


def _conv4_gap(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4Gap

    return Conv4Gap(request.image_size, request.channels)


def _resnet12(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.resnet12 import ResNet12

    return ResNet12(request.image_size, request.channels)


def _timm(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.timm_models import build

    return build(request)


def _timm_weights(argument: str | None) -> Path:
    from harness.networks.backbones.timm_models import cached_weights

    return cached_weights(argument)


SPECS: tuple[BackboneSpec, ...] = (
    BackboneSpec("conv4", "four 3×3 convolutions of 64 filters, flattened (0.1 M parameters)", _conv4),
    BackboneSpec("conv4-np", "conv4 without pooling in its last two blocks: maps of S/4 × S/4 (0.1 M)", _conv4_np),
    BackboneSpec("conv4-gap", "RFS's conv4: no fourth pooling, maps averaged to 64 features (0.1 M)", _conv4_gap),
    BackboneSpec("resnet12", "ResNet-12 of 64, 160, 320, 640 filters with DropBlock (12.4 M parameters)", _resnet12),
    BackboneSpec("timm", "any model of the timm library: timm:resnet18", _timm, True, _timm_weights),
)

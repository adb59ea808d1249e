"""The networks that methods share, so that only the method varies. Importing this package imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, HarnessError
from harness.types import BackboneRequest, BackboneSpec

if TYPE_CHECKING:
    import torch


def _conv4(request: BackboneRequest) -> torch.nn.Module:
    from harness.backbones.conv4 import Conv4

    return Conv4(request.image_size, request.channels)


def _resnet12(request: BackboneRequest) -> torch.nn.Module:
    from harness.backbones.resnet12 import ResNet12

    return ResNet12(request.image_size, request.channels)


def _timm(request: BackboneRequest) -> torch.nn.Module:
    from harness.backbones.timm_models import build

    return build(request)


SPECS: tuple[BackboneSpec, ...] = (
    BackboneSpec("conv4", "four 3×3 convolutions of 64 filters, flattened (0.1 M parameters)", _conv4),
    BackboneSpec("resnet12", "ResNet-12 of 64, 160, 320, 640 filters with DropBlock (12.4 M parameters)", _resnet12),
    BackboneSpec("timm", "any model of the timm library, untrained: timm:resnet18", _timm, takes_argument=True),
)


def load_weights(backbone: torch.nn.Module, file: Path) -> None:
    """Start ``backbone`` from the weights in a safetensors file, DropBlock's schedule from its beginning.

    The file holds the backbone's own state dict, or that of a stage, in which its names begin with ``backbone.``.

    Raises:
        DataError: the file is missing, is no safetensors file, or holds another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from harness.backbones.dropblock import restart_schedules

    if not file.is_file():
        raise DataError(f"weights {file}: no such file")
    try:
        found = load_file(file)
    except (SafetensorError, OSError) as error:
        raise DataError(f"weights {file}: not a safetensors file ({error})") from None
    prefix = "backbone."
    if any(name.startswith(prefix) for name in found):
        found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    wanted = backbone.state_dict()
    schedule = {name for name in wanted if name.endswith("drop_steps")}
    missing = sorted(wanted.keys() - found.keys() - schedule)
    surplus = sorted(found.keys() - wanted.keys())
    if missing or surplus:
        owner, names = ("the file lacks", missing) if missing else ("the backbone does not know", surplus)
        raise DataError(f"weights {file}: not of this backbone; {owner} {len(names)} tensor(s), {names[0]!r} first")
    for name in wanted.keys() - schedule:
        if found[name].shape != wanted[name].shape:
            raise DataError(
                f"weights {file}: {name!r} has shape {tuple(found[name].shape)}, this backbone needs "
                f"{tuple(wanted[name].shape)}; were they trained at another image size or with other channels?"
            )
    backbone.load_state_dict({name: found.get(name, value) for name, value in wanted.items()})
    restart_schedules(backbone)


def refuse_small(name: str, image_size: int, least: int) -> None:
    """Refuse images that the network would pool to nothing.

    Raises:
        HarnessError: ``image_size`` is below ``least`` (pixels).
    """
    if image_size < least:
        raise HarnessError(
            f"backbone {name} needs images of at least {least}×{least} pixels, not {image_size}×{image_size}"
        )

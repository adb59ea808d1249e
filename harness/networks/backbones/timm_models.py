"""Any model of the timm library as a backbone."""

from __future__ import annotations

import torch
from torch import nn

from harness.common.errors import HarnessError, one_line, suggestion
from harness.contract.backbones import BackboneRequest


class TimmBackbone(nn.Module):
    """Features (N, D) of images (N, C, S, S): a timm model without its classifier, untrained."""

    def __init__(self, model: nn.Module, n_features: int) -> None:
        super().__init__()
        self.model = model
        self.n_features = n_features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)


def build(request: BackboneRequest) -> TimmBackbone:
    """The timm model that ``request.argument`` names, tried once on an image of the size asked for.

    Raises:
        HarnessError: timm is missing, has no such model, or the model does not take images of this size.
    """
    try:
        import timm
    except ImportError:
        raise HarnessError(
            "backbone timm: timm is not installed; install it: pip install 'fsl-harness[timm]'"
        ) from None
    name = request.argument
    if not name:
        raise HarnessError("backbone timm needs a model's name: timm:resnet18")
    if not timm.is_model(name):
        raise HarnessError(
            f"unknown timm model {name!r}.{suggestion(name, timm.list_models())} "
            f"The {len(timm.list_models())} known: python -c 'import timm; print(*timm.list_models())'"
        )
    size = request.image_size
    try:
        model = _create(name, request)
        model.eval()
        with torch.inference_mode():
            shape = model(torch.zeros(2, request.channels, size, size)).shape
    except Exception as error:  # a thousand architectures, as many ways to refuse an image size
        raise HarnessError(f"timm:{name} does not take images of {size}×{size} pixels ({one_line(error)})") from error
    if len(shape) != 2 or shape[1] == 0:
        raise HarnessError(f"timm:{name} gives outputs of shape {tuple(shape)} for 2 images, not one vector an image")
    model.train()
    return TimmBackbone(model, shape[1])


def _create(name: str, request: BackboneRequest) -> nn.Module:
    """The model built for this image size where it wants to know it (transformers), else the plain one."""
    import timm

    wanted = {"pretrained": False, "num_classes": 0, "in_chans": request.channels}
    try:
        return timm.create_model(name, img_size=request.image_size, **wanted)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **wanted)

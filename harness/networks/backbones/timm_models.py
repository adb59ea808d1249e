"""Any model of the timm library as a backbone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlparse

import torch
from torch import nn

from harness.common.errors import HarnessError, one_line, suggestion

if TYPE_CHECKING:
    from harness.contract.backbones import BackboneRequest


class TimmBackbone(nn.Module):
    """Features (N, D) of images (N, C, S, S): a timm model without its classifier."""

    spellings: ClassVar[Mapping[str, Mapping[str, str]]] = {"in timm": {"model.": ""}}

    def __init__(self, model: nn.Module, n_features: int) -> None:
        super().__init__()
        self.model = model
        self.n_features = n_features

    def converted(self, tensors: Mapping[str, torch.Tensor], prefix: str) -> Mapping[str, torch.Tensor] | None:
        """``tensors`` under today's names and shapes, as timm converts its own earlier files; None where it does not.

        A position embedding, for one, is resampled for this image size.

        Args:
            prefix: what stands before the model's names.
        """
        convert = getattr(sys.modules[type(self.model).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return None
        plain = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        try:
            return dict(convert(plain, self.model))
        except Exception:  # each architecture's own code, on tensors that may be another's
            return None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)


def build(request: BackboneRequest) -> TimmBackbone:
    """The timm model that ``request.argument`` names, tried once on an image of the size asked for.

    Raises:
        HarnessError: timm is missing, has no such model, or the model does not take images of this size.
    """
    name = _known_model(request.argument)
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

    arguments = {"pretrained": False, "num_classes": 0, "in_chans": request.channels}
    try:
        return timm.create_model(name, img_size=request.image_size, **arguments)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **arguments)


def _known_model(name: str | None) -> str:
    """Raises HarnessError where timm is missing, or has no model of this name."""
    try:
        import timm
    except ImportError:
        raise HarnessError(
            "backbone timm: timm is not installed; install it: pip install 'fsl-harness[timm]'"
        ) from None
    if not name:
        raise HarnessError("backbone timm needs a model's name: timm:resnet18")
    if not timm.is_model(name):
        raise HarnessError(
            f"unknown timm model {name!r}.{suggestion(name, timm.list_models())} "
            f"The {len(timm.list_models())} known: python -c 'import timm; print(*timm.list_models())'"
        )
    return name


def cached_weights(argument: str | None) -> Path:
    """The file of pretrained weights that timm has fetched before for a model. Asks no network.

    Raises:
        HarnessError: no such model, timm offers no weights for it, or they are not in the cache.
    """
    name = _known_model(argument)
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise HarnessError(f"--weights pretrained: timm has no pretrained weights for {name!r}: give a FILE")
    for place in (_in_hub_cache(config.hf_hub_id, config.hf_hub_filename), _in_torch_cache(config.url)):
        if place is not None:
            return place
    raise HarnessError(
        f"--weights pretrained: the weights of timm:{name} ({config.hf_hub_id or config.url}) are not in timm's cache, "
        "and none are fetched here. Fetch them where there is a network: python -c "
        f"\"import timm; timm.create_model('{name}', pretrained=True)\", or give --weights FILE"
    )


def _in_hub_cache(repository: str | None, filename: str | None) -> Path | None:
    """Where huggingface_hub keeps the weights of a repository, ``owner/name`` or ``owner/name@revision``."""
    if not repository:
        return None
    from huggingface_hub import try_to_load_from_cache

    owner_and_name, _, revision = repository.partition("@")
    for candidate in (filename,) if filename else ("model.safetensors", "pytorch_model.bin"):
        cached = try_to_load_from_cache(owner_and_name, candidate, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _in_torch_cache(url: str | None) -> Path | None:
    """Where torch.hub keeps what it has fetched from an address."""
    if not url:
        return None
    cached = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(url).path))
    return cached if cached.is_file() else None

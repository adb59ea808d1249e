"""What a backbone is: a network from images to features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from harness.contract.citations import Cited


@dataclass(frozen=True)
class BackboneRequest:
    """What a backbone is built for."""

    image_size: int
    channels: int = 3
    argument: str | None = None  # what stood behind the colon: ``timm:resnet18``


@dataclass(frozen=True)
class BackboneSpec:
    """A network from normalised images (N, C, H, W) to features (N, D).

    ``build`` returns a ``torch.nn.Module`` with an attribute ``n_features`` (D). It may use torch's global random
    generator: the harness seeds it first. The module may have

    - a method ``maps``: the maps (N, C', H', W') of such images that its features are flattened or averaged from;
    - an attribute ``spellings``, the names that its weights have in other people's files:
      {"in X's code": {"beginning.of.my.name.": "beginning.of.theirs."}};
    - an attribute ``blocks``, a ``Sequential`` whose children give maps (N, C', H', W'), shallow to deep.
    """

    name: str
    title: str
    build: Callable[[BackboneRequest], torch.nn.Module]
    takes_argument: bool = False
    pretrained: Callable[[str | None], Path] | None = None  # argument → a file on this machine: --weights pretrained
    citation: Cited = ()  # how it is cited: harness cite

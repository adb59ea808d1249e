"""The two floors: what a method must beat to have learned anything. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.contract.heads import Head
from harness.contract.methods import BuildContext, MethodSpec, Stage
from harness.contract.options import MethodOptions

if TYPE_CHECKING:
    from harness.contract.learners import Learner

# Nearest centroid for both, since a floor should have nothing to tune, and without views, which would only add cost.
# An untrained network's features differ in length with an image's brightness and contrast, which say little about its
# class: hence l2. Pixels stay as they are, the plainest baseline there is.
PIXELS_HEAD = Head("nearest-centroid")
UNTRAINED_HEAD = Head("nearest-centroid", "l2")


def _pixels(context: BuildContext) -> Learner:
    from harness.networks.learners import Pixels

    return Pixels()


def _untrained(context: BuildContext) -> Learner:
    from harness.networks.learners import FeatureNetwork

    return FeatureNetwork(context)


def _pixels_stages(options: Any) -> Sequence[Stage]:
    return (Stage("pixels", _pixels),)


def _untrained_stages(options: Any) -> Sequence[Stage]:
    return (Stage("untrained", _untrained),)


SPECS: tuple[MethodSpec, ...] = (
    MethodSpec(
        "pixels",
        "Floor: nearest class mean on raw pixels",
        paper="",
        options=MethodOptions,
        stages=_pixels_stages,
        head=PIXELS_HEAD,
        floor=True,
        uses_backbone=False,
    ),
    MethodSpec(
        "untrained",
        "Floor: nearest class mean on the features of a random backbone",
        paper="",
        options=MethodOptions,
        stages=_untrained_stages,
        head=UNTRAINED_HEAD,
        floor=True,
    ),
)

"""A method's options: typed, described, validated, and where each value came from.

Precedence, later wins: defaults < preset < preset for this dataset < bench plan < ``--set``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MethodOptions(BaseModel):
    """The base of every method's options. A field needs a type and a one-line description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainingOptions(MethodOptions):
    """What methods that train by gradient descent have in common. A method overrides the defaults it needs."""

    images: int | None = Field(
        None, gt=0, description="training length of a stage in images seen, rotated copies counted; overrides epochs"
    )
    epochs: int = Field(90, gt=0, description="training length of a stage in passes over the base classes")
    batch_size: int = Field(64, gt=0, description="images a step, before any are rotated")
    optimiser: Literal["sgd", "adam"] = Field("sgd", description="SGD with Nesterov-free momentum, or Adam")
    learning_rate: float = Field(0.05, gt=0, description="initial learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all weights")
    schedule: Literal["step", "cosine", "constant"] = Field("step", description="how the learning rate falls")
    decay_at: tuple[int, ...] = Field((45, 60, 75), description="epochs after which the step schedule decays")
    decay_factor: float = Field(0.1, gt=0, le=1, description="what the step schedule multiplies by")
    selection: Literal["last", "best-val"] = Field(
        "last", description="which epoch's weights to keep: the last, or the best on validation episodes"
    )


TRAINING_READS = tuple(TrainingOptions.model_fields)

# What the preset ``quick`` of every method trains on, so that their rows cost the same: images seen by a stage, that
# two processor cores get through in some three minutes. 84×84 pixels are seven times the work of 32×32.
QUICK = {"images": 450_000, "schedule": "cosine"}

QUICK_PER_DATASET = {
    "glyphs": {"images": 80_000},
    **{name: {"images": 60_000} for name in ("miniImageNet", "tieredImageNet", "CUB-200-2011", "folder")},
}

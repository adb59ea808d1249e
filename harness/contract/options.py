"""A method's options: typed, described, validated; and a base set for trainings by gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.common.errors import PluginError, UnknownName
from harness.contract.batches import ShuffledBatches
from harness.contract.reading import for_part
from harness.contract.recipe import Adam, Length, Recipe, Schedule, Selection, Sgd, StepDecay, constant, cosine

PARTS = tuple(field.name for field in fields(Recipe))


class MethodOptions(BaseModel):
    """The base of every method's options. A field needs a type and a one-line description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GradientOptions(MethodOptions):
    """What trainings by gradient descent have in common, whatever their batches. A method overrides the defaults."""

    images: int | None = Field(
        None,
        gt=0,
        description="training length of a stage in images seen, every view and copy counted; overrides epochs",
    )
    epochs: int = Field(90, gt=0, description="training length of a stage in passes over the base classes")
    optimiser: Literal["sgd", "adam"] = Field("sgd", description="SGD with Nesterov-free momentum, or Adam")
    learning_rate: float = Field(0.05, gt=0, description="initial learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all weights")
    schedule: Literal["step", "cosine", "constant"] = Field("step", description="how the learning rate falls")
    decay_at: tuple[int, ...] = Field((45, 60, 75), description="epochs after which the step schedule decays")
    decay_factor: float = Field(0.1, gt=0, le=1, description="what the step schedule multiplies by")
    selection: Literal["last", "best-val", "best-val-loss"] = Field(
        "last", description="which epoch's weights to keep: the last, or the best on validation episodes"
    )
    patience: int | None = Field(
        None, gt=0, description="epochs without a better one after which training ends, where it selects on validation"
    )

    def recipe(self, prefix: str = "", **parts: Any) -> Recipe:
        """The recipe that these options describe.

        Args:
            prefix: options whose names begin with it stand in for their namesakes: with ``gen1_``, ``gen1_epochs`` for
                ``epochs``. One that is None does not.
            parts: of the recipe, by name, used instead of those that the options describe: ``batches``, ``copies``,
                ``schedule`` … The options behind a part that is given are not read.
        Raises:
            UnknownName: a recipe has no such part.
            PluginError: no ``batches`` are given and these options have no ``batch_size``.
        """
        for name in parts:
            if name not in PARTS:
                raise UnknownName("part of a recipe", name, PARTS, "Parts")

        def value(name: str) -> Any:
            instead = getattr(self, prefix + name, None) if prefix else None
            return getattr(self, name) if instead is None else instead

        if "length" not in parts:
            with for_part("length"):
                images = value("images")
                parts["length"] = Length(images=images) if images else Length(epochs=value("epochs"))
        if "optimiser" not in parts:
            parts["optimiser"] = _optimiser(value)
        if "schedule" not in parts:
            with for_part("schedule"):
                parts["schedule"] = _schedule(value, parts["length"])
        if "selection" not in parts:
            kind, patience = value("selection"), value("patience")
            measure: Literal["accuracy", "loss"] = "loss" if kind == "best-val-loss" else "accuracy"
            parts["selection"] = None if kind == "last" else Selection(patience=patience, measure=measure)
        if "batches" not in parts:
            if "batch_size" not in type(self).model_fields:
                raise PluginError(f"{type(self).__name__} has no batch_size: hand batches=… to recipe()")
            parts["batches"] = ShuffledBatches(value("batch_size"))
        return Recipe(**parts)


def _optimiser(value: Callable[[str], Any]) -> Sgd | Adam:
    if value("optimiser") == "adam":
        return Adam(value("learning_rate"), value("weight_decay"))
    return Sgd(value("learning_rate"), value("momentum"), value("weight_decay"))


def _schedule(value: Callable[[str], Any], length: Length) -> Schedule:
    kind = value("schedule")
    if kind != "step":
        return cosine if kind == "cosine" else constant
    of = value("epochs") if length.images else None  # where the length is in images: so that it keeps its shape
    return StepDecay(value("decay_at"), value("decay_factor"), of)


class TrainingOptions(GradientOptions):
    """What trainings by gradient descent on shuffled images have in common."""

    batch_size: int = Field(64, gt=0, description="images a step, before any are rotated")


TRAINING_READS = tuple(TrainingOptions.model_fields)

# What the preset ``quick`` of every method trains on: images a stage, which two processor cores get through in some
# three minutes, on glyphs in half of one. 84×84 pixels are seven times the work of 32×32. A method that shows its
# network several copies of an image counts every one of them, and may take as many times this.
QUICK = {"images": 450_000, "schedule": "cosine"}

QUICK_PER_DATASET = {
    "glyphs": {"images": 24_000},
    **{name: {"images": 60_000} for name in ("miniImageNet", "tieredImageNet", "CUB-200-2011", "folder")},
}

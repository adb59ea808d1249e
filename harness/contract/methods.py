"""What a method is: stages, presets, and what a stage may know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.contract.data import Dataset, DatasetSpec, Split
from harness.contract.heads import Head
from harness.contract.learners import Learner

if TYPE_CHECKING:
    import torch

    from harness.contract.options import MethodOptions
    from harness.contract.training import Trainer


@dataclass(frozen=True)
class BuildContext:
    """What a stage may know when it builds its learner."""

    dataset: DatasetSpec  # of the training data
    n_classes: int  # base classes
    options: Any  # the method's own MethodOptions
    backbone: Callable[[], torch.nn.Module]  # a new one, initialised from this stage's own seed


@dataclass(frozen=True)
class FitContext(BuildContext):
    """What a stage may know when it trains. Never the test split."""

    train: Split
    val: Split | None
    parent: Any  # None, or the trained learner of the parent stage, frozen and in eval mode
    seed: int  # for harness.randomness: numpy_generator(context.seed, "my purpose")
    trainer: Trainer


@dataclass(frozen=True)
class Stage:
    """One trained result of a method, with a row of its own.

    ``build(context)`` returns an untrained learner; ``fit(context, learner)`` trains it in place. They are apart so
    that a finished stage is opened from its weights without training.
    """

    name: str
    build: Callable[[BuildContext], Learner]
    fit: Callable[[FitContext, Any], None] | None = None  # None: nothing to train
    parent: str | None = None
    reads: tuple[str, ...] = ()  # the options that decide this stage's weights; what is not named shares a result
    version: int = 1  # raised by its author when the code changes results


@dataclass(frozen=True)
class Preset:
    """Named values for a method's options."""

    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    per_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backbone: str = "conv4"


@dataclass(frozen=True)
class MethodSpec:
    """A few-shot-learning method."""

    name: str
    title: str
    paper: str  # "arXiv:2006.09785", or empty
    options: type[MethodOptions]
    stages: Callable[[Any], Sequence[Stage]]  # options → stages, each after its parent
    presets: Mapping[str, Preset] = field(default_factory=dict)
    head: Head | None = field(
        default_factory=Head
    )  # how its authors score it; None: its learners are episodic and classify themselves
    transductive: bool = False
    floor: bool = False  # a baseline without training, for what chance and raw pixels give
    uses_backbone: bool = True
    check: Callable[[Any, Dataset], str | None] | None = None  # (options, data without its test split) → what is wrong

"""What a method is: stages, presets, and what a stage may know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.contract.heads import Head

if TYPE_CHECKING:
    import torch

    from harness.contract.citations import Cited
    from harness.contract.data import Dataset, DatasetSpec, Split
    from harness.contract.learners import Learner
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
    parents: tuple[Any, ...]  # the trained learners of the parent stages, frozen and in eval mode
    seed: int  # for generators: harness.numpy_generator(context.seed, "my purpose")
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
    parents: tuple[str, ...] = ()  # earlier stages whose learners this one starts from, distils or joins
    # The options that decide this stage's weights; None: all of them. Values of an option that is not named share one
    # result, so reading it in build or fit is an error.
    reads: tuple[str, ...] | None = None
    version: int = 1  # raised by its author when the code changes results


def deciding(stages: Sequence[Stage], name: str, options: Iterable[str]) -> set[str]:
    """The options that decide a stage: those that it reads, or that a stage reads which it is trained from.

    Args:
        options: all of the method's.
    """
    by_name = {stage.name: stage for stage in stages}
    names: set[str] = set()
    waiting = [name]
    while waiting:
        stage = by_name[waiting.pop()]
        names.update(options if stage.reads is None else stage.reads)
        waiting.extend(stage.parents)
    return names


@dataclass(frozen=True)
class Preset:
    """Named values for a method's options."""

    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    per_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backbone: str = "conv4"
    weights: str | None = None  # that this backbone starts from: a file, or 'pretrained'; None: untrained
    notes: Mapping[str, str] = field(default_factory=dict)  # dataset → what a reader of its table must know


@dataclass(frozen=True)
class MethodSpec:
    """A few-shot-learning method."""

    name: str
    title: str
    paper: str  # "arXiv:2006.09785", or empty
    options: type[MethodOptions]
    stages: Callable[[Any], Sequence[Stage]]  # options → stages, each after its parents
    presets: Mapping[str, Preset] = field(default_factory=dict)
    head: Head | None = field(
        default_factory=Head
    )  # how its authors score it; None: its learners are episodic and classify themselves
    transductive: bool = False
    floor: bool = False  # a baseline without training, for what chance and raw pixels give
    stored: bool = False  # its features were made elsewhere, see StoredEmbedder: it runs only where it is asked for
    uses_backbone: bool = True
    needs_weights: bool = False  # learns nothing itself: its backbone must be given weights, by --weights or its preset
    citation: Cited = ()  # how it is cited: harness cite
    check: Callable[[Any, Dataset], str | None] | None = None  # (options, data without its test split) → what is wrong

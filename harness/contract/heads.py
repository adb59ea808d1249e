"""How features become scores: heads, the classifiers and feature transforms that they name, and what the base says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch

    from harness.contract.citations import Cited

BaseStatistic = Literal["mean", "class_means", "covariances"]


@dataclass(frozen=True)
class Head:
    """How a learner's features are classified in an episode. Printed in the table beside each row."""

    classifier: str = "logistic"
    transform: str = "none"  # applied to features first, ``+`` between several: "l2", "centre+l2"
    views: int = 1  # copies of each support image: the image itself, then views - 1 random crops and flips
    embed: Literal["features", "logits"] = "features"  # logits: what the learner's ``logits(images)`` says

    def __str__(self) -> str:
        logits = ["logits"] if self.embed == "logits" else []
        parts = [self.classifier, *logits, *([self.transform] if self.transform != "none" else [])]
        return ", ".join([*parts, f"{self.views} views"] if self.views > 1 else parts)


@dataclass(frozen=True, eq=False)
class BaseStatistics:
    """What the features of the base classes say, over at most 20,000 of their images. None: it was not asked for.

    A transform is handed those of raw features, a classifier those of features as its head transforms them.
    """

    mean: torch.Tensor | None = None  # (D,), of all images
    class_means: torch.Tensor | None = None  # (C, D)
    covariances: torch.Tensor | None = None  # (C, D, D), unbiased; zero where a class has one image


class BatchedClassifier(Protocol):
    """A pure function that classifies the queries of many episodes at once.

    Returns scores (E, Q, n_way), higher for likelier. Takes ``support`` (E, S, D) and ``query`` (E, Q, D) features,
    ``support_labels`` (E, S) in 0..n_way-1. One whose spec asks for statistics of the base classes also takes
    ``base``, a ``BaseStatistics``.
    """

    def __call__(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int, **base: Any
    ) -> torch.Tensor: ...


class FeatureTransform(Protocol):
    """A pure function that transforms features (M, D), each on its own. Asked for, it also takes ``base``."""

    def __call__(self, features: torch.Tensor, **base: Any) -> torch.Tensor: ...


@dataclass(frozen=True)
class ClassifierSpec:
    """A classifier that a head can name."""

    name: str
    title: str
    load: Callable[[], BatchedClassifier]
    transductive: bool = False  # looks at the query set as a whole
    version: int = 1  # raised by its author when its code changes accuracies
    base_statistics: tuple[BaseStatistic, ...] = ()  # what it wants to know of the base classes
    citation: Cited = ()  # how it is cited: harness cite


@dataclass(frozen=True)
class TransformSpec:
    """A feature transform that a head can name, alone or with others: ``centre+l2``."""

    name: str
    title: str
    load: Callable[[], FeatureTransform]
    version: int = 1  # raised by its author when its code changes features
    base_statistics: tuple[BaseStatistic, ...] = ()  # of raw features, so it must be the first of a head's transforms

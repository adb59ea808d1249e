"""How features become scores: heads and the classifiers that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Head:
    """How a learner's features are classified in an episode. Printed in the table beside each row."""

    classifier: str = "logistic"
    transform: str = "none"  # applied to features first, ``+`` between several: "l2", "centre+l2"
    views: int = 1  # copies of each support image: the image itself, then views - 1 random crops and flips

    def __str__(self) -> str:
        parts = [self.classifier, *([self.transform] if self.transform != "none" else [])]
        return ", ".join([*parts, f"{self.views} views"] if self.views > 1 else parts)


class BatchedClassifier(Protocol):
    """A pure function that classifies the queries of many episodes at once.

    Returns scores (E, Q, n_way), higher for likelier. Takes ``support`` (E, S, D) and ``query`` (E, Q, D) features,
    ``support_labels`` (E, S) in 0..n_way-1.
    """

    def __call__(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class ClassifierSpec:
    """A classifier that a head can name."""

    name: str
    title: str
    load: Callable[[], BatchedClassifier]
    transductive: bool = False  # looks at the query set as a whole
    version: int = 1  # raised by its author when its code changes accuracies

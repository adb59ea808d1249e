"""What an episode is: its shape, and many of them as indices into a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np


Target = Literal["closed", "open"]


@dataclass(frozen=True, order=True)
class EpisodeSpec:
    """The shape of an episode."""

    n_way: int = 5
    k_shot: int = 1
    n_query: int = 15  # queries a class; their mean number where they are unbalanced
    dirichlet: float = 0.0  # concentration of the class proportions among the queries; 0: balanced

    def __str__(self) -> str:
        unbalanced = f", Dirichlet({self.dirichlet:g}) queries" if self.dirichlet else ""
        return f"{self.n_way}-way {self.k_shot}-shot{unbalanced}"


@dataclass(frozen=True, eq=False)
class Episodes:
    """Many episodes of one shape, as indices into a split. Class w of an episode is its label w."""

    spec: EpisodeSpec
    classes: np.ndarray  # (E, n_way) int64
    support: np.ndarray  # (E, n_way, k_shot) int64
    query: np.ndarray  # (E, n_way, n_query) int64
    target: Target  # how they were drawn, hence what an interval over them is about: harness/episodes.py
    fingerprint: str  # sha256 over the spec, the arrays and the split's fingerprint
    query_counts: np.ndarray | None = None  # (E, n_way) int64, queries of each class; None: n_query of each

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def query_labels(self) -> np.ndarray:
        """(E, n_way * n_query) int64: the label of each query, where ``query`` is read row by row.

        Unbalanced queries fill the same rows class after class, so only this says whose they are.
        """
        import numpy as np

        labels = np.arange(self.spec.n_way)
        if self.query_counts is None:
            return np.tile(np.repeat(labels, self.spec.n_query), (len(self), 1))
        return np.repeat(np.tile(labels, len(self)), self.query_counts.reshape(-1)).reshape(len(self), -1)

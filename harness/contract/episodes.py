"""What an episode is: its shape, and many of them as indices into a split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np


Target = Literal["closed", "open"]


@dataclass(frozen=True, order=True)
class EpisodeSpec:
    """The shape of an episode; where way and shot are drawn anew for each episode, evenly, the bounds of its shape."""

    n_way: int = 5  # the most, where it is drawn
    k_shot: int = 1  # likewise
    n_query: int = 15  # queries a class; their mean number where they are unbalanced
    dirichlet: float = 0.0  # concentration of the class proportions among the queries; 0: balanced
    # Not in the repr, which decides the fingerprint of episodes of one shape.
    least_way: int = field(default=0, repr=False)  # 0: n_way in each episode
    least_shot: int = field(default=0, repr=False)  # 0: k_shot in each episode

    @property
    def varied(self) -> bool:
        """Whether way and shot are drawn for each episode."""
        return self.least_way > 0 or self.least_shot > 0

    @property
    def ways(self) -> range:
        """Every way that an episode may have."""
        return range(self.least_way or self.n_way, self.n_way + 1)

    @property
    def shots(self) -> range:
        """Every shot that an episode may have."""
        return range(self.least_shot or self.k_shot, self.k_shot + 1)

    @property
    def chance(self) -> float:
        """Accuracy of a guess, 0..1, in the mean over episodes."""
        return sum(1 / way for way in self.ways) / len(self.ways)

    def __str__(self) -> str:
        way = f"{self.least_way}..{self.n_way}" if self.least_way else self.n_way
        shot = f"{self.least_shot}..{self.k_shot}" if self.least_shot else self.k_shot
        unbalanced = f", Dirichlet({self.dirichlet:g}) queries" if self.dirichlet else ""
        return f"{way}-way {shot}-shot{unbalanced}"


@dataclass(frozen=True, eq=False)
class Episodes:
    """Many episodes as indices into a split. Class w of an episode is its label w.

    They have one shape; where way and shot are drawn, ``shapes`` says how much of each row an episode has: the first
    classes, and of each the first supports. Open ones have -1 in the rest.
    """

    spec: EpisodeSpec
    classes: np.ndarray  # (E, n_way) int64
    support: np.ndarray  # (E, n_way, k_shot) int64
    query: np.ndarray  # (E, n_way, n_query) int64
    target: Target  # how they were drawn, hence what an interval over them is about: harness/episodes.py
    fingerprint: str  # sha256 over the spec, the arrays and the split's fingerprint
    query_counts: np.ndarray | None = None  # (E, n_way) int64, queries of each class; None: n_query of each
    shapes: np.ndarray | None = None  # (E, 2) int64, way and shot of each; None: those of the spec

    def __len__(self) -> int:
        return len(self.classes)

    def parts(self) -> list[tuple[np.ndarray, Episodes]]:
        """Episodes of one shape each, and which of these episodes (e,) they are; all at once where all have one."""
        import numpy as np

        if self.shapes is None:
            return [(np.arange(len(self)), self)]
        parts = []
        for way, shot in np.unique(self.shapes, axis=0).tolist():
            (which,) = np.nonzero((self.shapes == (way, shot)).all(axis=1))
            spec = EpisodeSpec(way, shot, self.spec.n_query)
            classes, query = self.classes[which, :way], self.query[which, :way]
            support = np.ascontiguousarray(self.support[which, :way, :shot])
            parts.append((which, Episodes(spec, classes, support, query, self.target, f"{self.fingerprint} {spec}")))
        return parts

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

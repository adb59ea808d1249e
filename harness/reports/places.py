"""Where rows of a leaderboard stand: columns, lines, and the places where they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.statistics.intervals import Interval


@dataclass(frozen=True)
class Column:
    """A dataset in one setting. Two numbers in it come from the same data, episodes and seeds."""

    dataset: str
    spec: EpisodeSpec
    data: str  # fingerprint
    closed: str  # fingerprint of the closed episodes
    open: str  # of the open ones; empty: there are none
    seeds: tuple[int, ...]
    score_on: str = "test"
    notes: tuple[str, ...] = ()  # "partial data (…)"

    @property
    def conditions(self) -> dict[str, str]:
        """What sets it apart from another column of the same dataset and setting."""
        return {
            "data": self.data[:8],
            "episodes": f"{self.closed[:8]}/{self.open[:8]}",
            "seeds": ",".join(map(str, self.seeds)),
            "scored on": self.score_on,
            "notes": ", ".join(self.notes),
        }


@dataclass(frozen=True)
class Place:
    """A row in a column."""

    interval: Interval  # closed
    letters: str = ""  # of its tiers; empty where it is not compared
    bench: str = ""  # ID of the bench that it comes from


@dataclass(frozen=True)
class Line:
    """A row of the leaderboard."""

    name: str
    floor: bool
    places: Mapping[str, Place]  # by the name of the column

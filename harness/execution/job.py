"""A stage to be trained and scored, as plain values that can be sent to wherever the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.runs import StageIdentity, score_key

if TYPE_CHECKING:
    from harness.contract.data import Strength
    from harness.contract.episodes import Episodes
    from harness.contract.heads import Head
    from harness.episodes.plan import EpisodePlan
    from harness.execution.source import DataSource
    from harness.hardware.request import HardwareRequest
    from harness.runs.records import PretrainingRecord


@dataclass(frozen=True)
class ParentStage:
    """A stage that another is trained from, and where its weights are."""

    stage: str
    position: tuple[int, ...]
    folder: Path


@dataclass(frozen=True, eq=False)
class StageJob:
    """A stage with a seed, to be trained unless it is, and scored where it is not."""

    label: str
    method: str
    stage: str
    options: Mapping[str, Any]
    backbone: str | None
    weights: Path | None
    head: Head | None
    seed: int
    # How many stages lie before it, and its number among those of its method that are as deep, unless it is the first.
    # Decides its random generators: the first stages of all methods start from the same backbone.
    position: tuple[int, ...]
    identity: StageIdentity
    folder: Path
    parents: tuple[ParentStage, ...]
    source: DataSource
    protocol: EpisodePlan
    machine: HardwareRequest
    augment: Strength = "standard"  # of the changes of training images
    head_versions: tuple[int, ...] = ()  # of what the head names
    recorded_key: str = ""  # of a stage that an earlier version may have trained; empty: what the identity makes
    predictions: bool = False  # whether the predicted label of every query is kept
    pretraining: PretrainingRecord | None = None  # of the weights, where they are those of an earlier bench's row

    def score_key(self, episodes: Episodes) -> str:
        return score_key(self.key, episodes, self.head, self.protocol.seed, self.head_versions)

    @property
    def key(self) -> str:
        return self.recorded_key or self.identity.key

    @property
    def name(self) -> str:
        return f"{self.label}/{self.stage}"

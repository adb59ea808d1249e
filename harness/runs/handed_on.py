"""Records of files that are handed to somebody else: an archive of runs, what pages show, one row of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from harness.contract.plan import BenchPlan
from harness.runs.record_base import EpisodesRecord, FileRecord, Frozen


class ArchivedFile(Frozen):
    """One file of an archive."""

    name: str = Field(description="relative to the run folder, with /")
    size: int = Field(ge=0, description="bytes")
    sha256: str


class ArchiveRecord(FileRecord):
    """What an archive of runs holds: its member ``harness-runs.json``."""

    harness: str = Field(description="version that wrote it")
    benches: tuple[str, ...] = Field(description="IDs, in the order in which they ended")
    files: tuple[ArchivedFile, ...] = Field(description="all others, in the order in which they are to be written")


class ShownRecord(FileRecord):
    """What a file in shown/ is about: pictures and features that the page of a bench's table shows."""

    split_fingerprint: str = Field(description="of the split whose images they are")
    row: str | None = Field(description="whose features are there; null: none are")


class RowScores(Frozen):
    """The accuracies of a row on one kind of episodes."""

    episodes: EpisodesRecord
    n_classes: int = Field(description="of the split that was scored")
    classes: tuple[tuple[int, ...], ...] = Field(description="of each episode, n_way of the split's")
    accuracies: tuple[tuple[float, ...], ...] = Field(description="a seed each, an episode each; fractions")
    feature_spreads: tuple[float | None, ...] = Field(description="a seed each: see Score.feature_spread")

    @model_validator(mode="after")
    def _fits(self) -> RowScores:
        n, way = self.episodes.n, self.episodes.n_way
        if n < 1 or len(self.classes) != n or any(len(accuracies) != n for accuracies in self.accuracies):
            raise ValueError(f"there are not {n} episodes of each seed")
        if not all(0 <= accuracy <= 1 for accuracies in self.accuracies for accuracy in accuracies):
            raise ValueError("an accuracy is no fraction from 0 to 1")
        if any(len(shown) != way or not all(0 <= c < self.n_classes for c in shown) for shown in self.classes):
            raise ValueError("the classes of an episode are not those of the split")
        return self


class RowRecord(FileRecord):
    """One row of a table in a file of its own, to be compared with anybody's rows on the same episodes."""

    kind: Literal["row"]
    row: str = Field(description="its name in the table that it is from")
    label: str
    method: str
    stage: str
    preset: str | None
    changed: Mapping[str, Any] = Field(description="options that decide it and differ from the preset's")
    options: Mapping[str, Any]
    note: str
    floor: bool
    transductive: bool
    backbone: str | None
    weights: str | None
    pretrained: str = Field(
        "", description="what the row of an earlier run that it started from was trained on, in words"
    )
    head: str = Field(description="as it is printed")
    bench: str = Field(description="ID of the bench that it is from")
    created: str
    dataset: str
    test_dataset: str | None
    score_on: Literal["test", "val"]
    train_on: Literal["train", "trainval"]
    notes: tuple[str, ...] = Field(description="what every table must say of the data")
    data_fingerprint: str
    plan: BenchPlan
    seeds: tuple[int, ...] = Field(min_length=1, description="of training")
    keys: tuple[str, ...] = Field(description="of the stage, a seed each")
    images_seen: float | None = Field(description="of one seed, its parents' included, as are the next three")
    flops: float | None
    fit_seconds: float
    peak_memory_bytes: int | None
    conditions: Mapping[str, str] = Field(description="device, precision, threads, versions")
    settings: tuple[RowScores, ...] = Field(min_length=1)
    sha256: str = Field("", description="of all other fields, as canonical JSON")

    @model_validator(mode="after")
    def _has_all_seeds(self) -> RowRecord:
        counts = {len(self.keys), *(len(part.accuracies) for part in self.settings)}
        counts |= {len(part.feature_spreads) for part in self.settings}
        if counts != {len(self.seeds)}:
            raise ValueError(f"there are not {len(self.seeds)} seeds of all")
        kinds = {(part.episodes.spec, part.episodes.target) for part in self.settings}
        if len(kinds) != len(self.settings) or any((spec, "closed") not in kinds for spec, _ in kinds):
            raise ValueError("a setting is there twice, or has no closed episodes")
        return self

"""What identifies a stage and its scores: all that decides the numbers, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes
    from harness.contract.heads import Head

TRAINING_VERSION = 2  # raised when the training loop, its batches or augmentation, or a backbone changes weights
SCORING_VERSION = 2  # raised when evaluation code changes accuracies


def digest(value: Any) -> str:
    """sha256 of ``value`` as canonical JSON: equal values, equal digests, on every machine."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def dataset_folder(dataset: str) -> str:
    """The name of the folder that holds the stages of a dataset."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in dataset)


@dataclass(frozen=True)
class StageIdentity:
    """All that decides a stage's weights, and nothing else. Device, threads and versions are recorded, not hashed."""

    method: str
    stage: str
    version: int
    options: Mapping[str, Any]  # those that the stage reads
    parents: tuple[str, ...]  # their keys
    data: str  # fingerprint of the split it trains on
    validation: str | None  # fingerprint of the validation split, and the head where weights are selected on it
    pixels: Mapping[str, Any]  # image size, normalisation, augmentation
    backbone: str | None
    weights: str | None  # sha256 of the file that the backbone starts from
    seed: int
    precision: str  # as requested

    @cached_property
    def key(self) -> str:
        return digest([TRAINING_VERSION, asdict(self)])

    @classmethod
    def recorded(cls, values: Mapping[str, Any]) -> StageIdentity:
        """What a run folder recorded, perhaps by another version: its key is not to be made of it anew."""
        known: dict[str, Any] = {field.name: values.get(field.name) for field in fields(cls)}
        return cls(**known | {"parents": tuple(known["parents"] or ())})

    def differs_only_in(self, other: StageIdentity, options: Iterable[str]) -> bool:
        """Whether all that decides the two is equal but these options, which both have."""
        names = set(options)

        def rest(identity: StageIdentity) -> Any:
            kept = {name: value for name, value in identity.options.items() if name not in names}
            return digest({**asdict(identity), "options": kept})

        return self.key != other.key and rest(self) == rest(other)

    def folder(self, output: Path, dataset: str) -> Path:
        return (
            output / "stages" / dataset_folder(dataset) / f"{self.method}-{self.stage}-seed{self.seed}-{self.key[:12]}"
        )


def score_key(
    stage_key: str, episodes: Episodes, head: Head | None, view_seed: int, head_versions: Sequence[int] = ()
) -> str:
    """What identifies the accuracies of a stage on some episodes under a head."""
    views = view_seed if head and head.views > 1 else None
    unversioned: Sequence[int | None] = (None,)
    versions = [SCORING_VERSION, *(head_versions or unversioned)]
    described = asdict(head) if head else None
    if described and described["embed"] == "features":
        del described["embed"]  # scores of before heads said it are the same
    return digest([versions, stage_key, episodes.fingerprint, described, views])

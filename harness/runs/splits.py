"""The classes that a bench was scored on, without their images: the label of each image and the names of the classes.

Episodes depend on nothing else, so a run folder can draw its own again wherever it is, and their fingerprint says
whether they are the same. That is some kilobytes a split, where the episodes' indices are hundreds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.data import Split
from harness.runs.arrays import load_arrays, save_arrays
from harness.runs.records import SplitRecord

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes
    from harness.runs.record_base import EpisodesRecord


def save_split(output: Path, dataset: str, split: Split) -> None:
    """Keep the labels and class names of ``split`` in a run folder, unless they are there."""
    import numpy as np

    path = split_file(output, split.fingerprint)
    if path.exists():
        return
    record = SplitRecord(
        dataset=dataset, name=split.name, fingerprint=split.fingerprint, class_names=tuple(split.class_names)
    )
    labels = np.asarray(split.labels).astype(np.min_scalar_type(max(0, split.n_classes - 1)))
    save_arrays(path, record, compressed=True, labels=labels)


def load_split(output: Path, fingerprint: str | None) -> Split | None:
    """The split of a fingerprint with images of 0 × 0 pixels; None where the run folder has not kept it.

    Raises:
        RunsError: its file is damaged.
    """
    import numpy as np

    path = split_file(output, fingerprint) if fingerprint is not None else None
    if path is None or not path.exists():
        return None
    record, arrays = load_arrays(SplitRecord, path, "labels", remedy="Delete it and run the same command again")
    labels = arrays["labels"].astype(np.int64)
    if (
        record.fingerprint != fingerprint
        or labels.ndim != 1
        or (len(labels) and labels.max() >= len(record.class_names))
    ):
        return None
    return Split(
        record.name, np.empty((len(labels), 0, 0, 3), np.uint8), labels, record.class_names, record.fingerprint
    )


def draw_again(split: Split, record: EpisodesRecord, seed: int) -> Episodes | None:
    """The episodes of a record; None where they are no longer the same, as under another version of the sampler."""
    from harness.episodes.sampler import sample_episodes

    episodes = sample_episodes(split, record.spec, record.n, seed, record.target)
    return episodes if episodes.fingerprint == record.fingerprint else None


def split_file(output: Path, fingerprint: str) -> Path:
    return output / "splits" / f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:12]}.npz"

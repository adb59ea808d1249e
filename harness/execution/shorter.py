"""Finished trainings in the run folder that a longer one could go on from: all is equal but their length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.runs import StageFolder
from harness.training.continuation import Shorter

if TYPE_CHECKING:
    from harness.execution.job import StageJob
    from harness.runs.records import TrainedRecord

DECIDING = ("device", "precision", "threads", "torch", "numpy")  # conditions under which bytes may be others


def shorter_trainings(job: StageJob, lengths: Iterable[str], conditions: Mapping[str, str]) -> list[Shorter]:
    """Those of the method's stage with the seed of ``job`` that differ in the options ``lengths`` alone.

    Args:
        conditions: under which ``job`` is trained.
    """
    names = set(lengths)
    return [] if job.recorded_key else list(_shorter(job, names, conditions))


def _shorter(job: StageJob, lengths: set[str], conditions: Mapping[str, str]) -> Iterator[Shorter]:
    beginning = f"{job.method}-{job.stage}-seed{job.seed}-"
    for path in sorted(_folders(job.folder.parent, beginning)):
        folder = StageFolder(path)
        try:
            identity, trained = folder.identity, folder.trained
        except RunsError:  # a damaged one is nobody's beginning
            continue
        if identity is None or trained is None or not trained.images_seen or path == job.folder:
            continue
        if path.name == beginning + identity.key[:12] and job.identity.differs_only_in(identity, lengths):
            yield Shorter(path, trained.images_seen, _obstacle(trained, conditions))


def _folders(parent: Path, beginning: str) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.name.startswith(beginning)]
    except OSError:
        return []


def _obstacle(trained: TrainedRecord, conditions: Mapping[str, str]) -> str:
    """What it ran under other than ``conditions``; empty: all that may decide its bytes is the same."""
    pairs = {name: (trained.conditions.get(name), conditions.get(name)) for name in DECIDING}
    differing = [f"{name} {then}, now {now}" for name, (then, now) in pairs.items() if then != now]
    return f"that one ran under other conditions ({'; '.join(differing)})" if differing else ""

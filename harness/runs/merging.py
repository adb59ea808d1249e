"""Which files of an archive a run folder takes: those it has not. Where both have one, the numbers must be the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import RunsError
from harness.common.text import shortened
from harness.runs.layout import stage_of
from harness.runs.locking import is_free
from harness.runs.records import BenchRecord, TrainedRecord
from harness.runs.stages import StageFolder

BLOCK = 1 << 20


@dataclass(frozen=True)
class Decision:
    """What becomes of the files of an archive."""

    write: frozenset[str]
    kept: frozenset[str]  # this folder has another file in its place, which stays


def decide(values: Mapping[str, Any], digests: Mapping[str, str], output: Path) -> Decision:
    """Args: ``values``: what the files say, as far as they were looked into; ``digests``: name → sha256 of all.

    Raises:
        RunsError: a stage is in ``output`` too, with other weights or accuracies; or a process is at work on it.
    """
    write: set[str] = set()
    kept: set[str] = set()
    stages = dict.fromkeys(stage_of(name) for name in digests if name.startswith("stages/"))
    for stage in stages:
        names = [name for name in digests if stage_of(name) == stage]
        fresh = _of_stage(stage, names, values, digests, output)
        if fresh and not is_free(output / stage):
            raise RunsError(f"{output / stage} is at work now: import once it is done")
        write |= fresh
        kept |= {name for name in names if name not in fresh and not _same(output / name, digests[name])}
    for name in digests:
        if name.startswith("stages/") or _same(output / name, digests[name]):
            continue
        (kept if _stays(output / name, values.get(name)) else write).add(name)
    return Decision(frozenset(write), frozenset(kept))


def _of_stage(
    stage: str, names: Iterable[str], values: Mapping[str, Any], digests: Mapping[str, str], output: Path
) -> set[str]:
    """The files of a stage that are to be written."""
    folder = StageFolder(output / stage)
    ours: TrainedRecord | None = folder.trained
    theirs: TrainedRecord | None = values.get(f"{stage}/trained.json")
    differing = [name for name in names if not _same(output / name, digests[name])]
    if ours is None and theirs is not None:
        return set(differing)  # finished there, and here at most begun
    if ours is not None and theirs is None:
        return set()  # it failed there
    if ours is not None and theirs is not None:
        if ours.weights_sha256 != theirs.weights_sha256:
            _refuse(output / stage, "weights")
        for name in differing:
            if "/scores/" in name and _other_accuracies(folder, name, values[name]):
                _refuse(output / stage, "accuracies on the same episodes")
    return {name for name in differing if not (output / name).exists()}


def _other_accuracies(folder: StageFolder, name: str, theirs: Any) -> bool:
    import numpy as np

    kept = folder.load_score(Path(name).stem)
    return kept is not None and not np.array_equal(kept.score.accuracies, theirs)


def _refuse(folder: Path, what: str) -> None:
    raise RunsError(
        f"{shortened(str(folder))} is in the archive with other {what}, as of another machine, and neither may replace "
        "the other: import it into a folder of its own. Nothing is imported"
    )


def _stays(path: Path, theirs: Any) -> bool:
    """Whether a file that is no stage's stays in spite of the archive's: unless that is a bench with fewer failures."""
    from harness.runs.records import read

    if not path.exists():
        return False
    if not isinstance(theirs, BenchRecord):
        return True
    return _failures(theirs) >= _failures(read(BenchRecord, path))


def _failures(bench: BenchRecord) -> int:
    return sum(stage.failure is not None for table in bench.tables for stage in table.stages)


def _same(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunsError(f"cannot read {path}: {error.strerror}") from None

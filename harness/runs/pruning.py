"""What of a run folder may go: stages that no bench answers to, checkpoints of finished stages, kept features.

Nothing that a report needs is among it, and nothing that a process is at work on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.common.errors import RunsError
from harness.contract.names import MethodReference
from harness.runs.benches import begun_benches, bench_files
from harness.runs.identity import dataset_folder
from harness.runs.layout import StageOnDisk, stage_on_disk, stages_on_disk
from harness.runs.locking import LOCK, held_if_free
from harness.runs.records import BenchRecord, SearchRecord, read
from harness.runs.summaries import folders_of

Part = Literal["unused", "checkpoints", "features"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Prunable:
    """One stage, and which of its files may go."""

    part: Part
    stage: StageOnDisk
    files: tuple[str, ...]  # relative to the run folder

    @property
    def n_bytes(self) -> int:
        return sum(self.stage.files[name] for name in self.files)


@dataclass(frozen=True)
class Pruning:
    """What would go, and what is left alone."""

    prunable: Sequence[Prunable]
    busy: Sequence[str]  # folders of stages that a process is at work on
    searched: Sequence[str]  # folders of stages that no bench names, but a search may have trained

    def n_bytes(self, part: Part | None = None) -> int:
        return sum(item.n_bytes for item in self.prunable if part in (None, item.part))


def what_may_go(output: Path, parts: Sequence[Part] = PARTS, searches: bool = False) -> Pruning:
    """What of ``output`` no report and no bench that goes on would miss.

    A bench that has not ended keeps its stages. Of stages that no bench names, those of a method and dataset that were
    searched in this folder stay too, unless ``searches``: the best trial of a search is one of them.

    Raises:
        RunsError: a record is damaged, so that nobody knows what it answers to, or there is no such folder.
    """
    folders = stages_on_disk(output)
    records = [read(BenchRecord, path) for path in bench_files(output)]
    if not folders and not records:
        raise RunsError(f"{output} holds no run: there is nothing to prune")
    named = {folder for record in records for folder in folders_of(record)}
    named |= {folder for record in begun_benches(output) for folder in record.stages}
    begins = () if searches else tuple(_begins_of_searched(output))
    kept_by_search = [folder for folder in folders if folder not in named and folder.startswith(begins)]
    prunable: list[Prunable] = []
    busy = []
    for folder in folders:
        stage = stage_on_disk(output, folder)
        candidates = list(_prunable(stage, folder in named or folder in kept_by_search, parts))
        if candidates and stage.busy:
            busy.append(folder)
        else:
            prunable += candidates
    return Pruning(prunable, busy, kept_by_search)


def _prunable(stage: StageOnDisk, kept: bool, parts: Sequence[Part]) -> Iterator[Prunable]:
    if not kept:
        if "unused" in parts:
            yield Prunable("unused", stage, tuple(stage.files))
        return
    checkpoints = stage.of_kind("checkpoint") if stage.trained else {}
    if "checkpoints" in parts and checkpoints:
        yield Prunable("checkpoints", stage, tuple(checkpoints))
    if "features" in parts and (features := stage.of_kind("features")):
        yield Prunable("features", stage, tuple(features))


def _begins_of_searched(output: Path) -> Iterator[str]:
    """How the folders of stages begin whose method and dataset were searched in this run folder."""
    for path in (output / "tuning").glob("*/search.json"):
        plan = read(SearchRecord, path).plan
        for text in plan.methods:
            method = MethodReference.parse(text).method
            yield from (f"stages/{dataset_folder(dataset)}/{method}-" for dataset in plan.dataset)


def prune(pruning: Pruning) -> tuple[int, list[str]]:
    """Delete it. Returns how many bytes went, and the folders of stages that were taken up in the meantime."""
    gone, busy = 0, []
    for item in pruning.prunable:
        with held_if_free(item.stage.path) as free:
            if not free:
                busy.append(item.stage.folder)
                continue
            gone += sum(_delete(item.stage.output / name, item.stage.files[name]) for name in _in_order(item))
        if item.part == "unused":
            _remove_empty(item.stage)
    return gone, busy


def _in_order(item: Prunable) -> list[str]:
    """What says that the stage is whole goes first, so that a stage half deleted is none; its lock goes last."""
    first = f"{item.stage.folder}/trained.json"
    lock = f"{item.stage.folder}/{LOCK}"
    return sorted((name for name in item.files if name != lock), key=lambda name: name != first)


def _delete(path: Path, n_bytes: int) -> int:
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise RunsError(f"cannot delete {path}: {error.strerror}. What was deleted before is gone") from None
    return n_bytes


def _remove_empty(stage: StageOnDisk) -> None:
    """The stage's folder, and its dataset's, where nothing is left in them."""
    with contextlib.suppress(OSError):
        (stage.path / LOCK).unlink(missing_ok=True)
        for folder in sorted({(stage.output / name).parent for name in stage.files} | {stage.path}, reverse=True):
            folder.rmdir()
        stage.path.parent.rmdir()

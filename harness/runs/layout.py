"""The files of a run folder by what they are: what an archive may hold, what may be deleted, what takes the room."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.runs.locking import is_free

Kind = Literal["bench", "split", "shown", "record", "scores", "predictions", "weights", "features", "checkpoint"]

MIB, GIB = 2**20, 2**30
NAME = r"(?!\.)[^/\\:\x00-\x1f\x7f]{1,255}"  # of a folder: no way out of it, nothing hidden
STAGE = rf"stages/{NAME}/{NAME}"


@dataclass(frozen=True)
class Form:
    """The files of one kind."""

    kind: Kind
    pattern: re.Pattern[str]  # of their names, relative to the run folder
    most_bytes: int  # that such a file may have in an archive


FORMS = tuple(
    Form(kind, re.compile(pattern), most_bytes)  # type: ignore[arg-type]
    for kind, pattern, most_bytes in (
        ("bench", r"benches/[0-9a-z]{1,64}\.json", 256 * MIB),
        ("split", r"splits/[0-9a-f]{12}\.npz", 512 * MIB),
        ("shown", r"shown/[0-9a-z]{1,64}-[0-9]{1,6}\.npz", 64 * MIB),
        ("record", rf"{STAGE}/(identity|trained)\.json", 16 * MIB),
        ("record", rf"{STAGE}/metrics\.csv", 256 * MIB),
        ("record", rf"{STAGE}/log\.jsonl", 256 * MIB),
        ("record", rf"{STAGE}/failure\.txt", 16 * MIB),
        ("scores", rf"{STAGE}/scores/[0-9a-f]{{64}}\.npz", 512 * MIB),
        ("predictions", rf"{STAGE}/predictions/[0-9a-f]{{64}}\.npz", 512 * MIB),
        ("weights", rf"{STAGE}/weights\.safetensors", 256 * GIB),
        ("features", rf"{STAGE}/embeddings/{NAME}\.safetensors", 1024 * GIB),
        ("checkpoint", rf"{STAGE}/(checkpoint-[0-9]+|continuation)\.pt", 1024 * GIB),
    )
)


def form_of(name: str) -> Form | None:
    """What a file is, by its name relative to the run folder; None: nothing that the harness writes to stay."""
    return next((form for form in FORMS if form.pattern.fullmatch(name)), None)


def stage_of(name: str) -> str:
    """``stages/DATASET/NAME`` of the name of a file in that folder."""
    return "/".join(name.split("/")[:3])


@dataclass(frozen=True)
class StageOnDisk:
    """A stage's folder, and how many bytes its files have."""

    output: Path
    folder: str  # stages/DATASET/NAME
    files: Mapping[str, int]  # by name relative to the run folder

    @property
    def path(self) -> Path:
        return self.output / self.folder

    @property
    def trained(self) -> bool:
        """Whether it is finished: its weights and what they cost are on disk, or were."""
        return f"{self.folder}/trained.json" in self.files

    @property
    def busy(self) -> bool:
        """Whether a process is at work on it."""
        return not is_free(self.path)

    def of_kind(self, *kinds: Kind) -> dict[str, int]:
        """The files of these kinds with their sizes in bytes."""
        forms = {name: form_of(name) for name in self.files}
        return {name: self.files[name] for name, form in forms.items() if form is not None and form.kind in kinds}

    def n_bytes(self, *kinds: Kind) -> int:
        """Of the files of these kinds; of all where none is named."""
        return sum((self.of_kind(*kinds) if kinds else self.files).values())


def stage_on_disk(output: Path, folder: str) -> StageOnDisk:
    """The stage of ``folder`` (stages/DATASET/NAME); links in it are no files of it."""
    return StageOnDisk(output, folder, dict(_sizes(output / folder, folder)))


def stages_on_disk(output: Path) -> list[str]:
    """The folder of each stage, as ``stages/DATASET/NAME``; one that is a link to elsewhere is left out."""
    folders = []
    for dataset in _folders(output / "stages"):
        folders += [f"stages/{dataset}/{stage}" for stage in _folders(output / "stages" / dataset)]
    return folders


def _folders(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            inside = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in inside if not name.startswith("."))


def _sizes(folder: Path, name: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(folder / entry.name, f"{name}/{entry.name}")
        elif entry.is_file(follow_symlinks=False):
            yield f"{name}/{entry.name}", entry.stat(follow_symlinks=False).st_size

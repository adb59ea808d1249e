"""One archive of benches with all that a reader needs for every table and figure.

A zip whose member ``harness-runs.json`` lists all others with their sizes and sha256. The same run folder gives the
same bytes: no times, no user, no machine but the one that the records name.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.common.errors import RunsError
from harness.common.files import atomic_write
from harness.common.version import __version__
from harness.runs.handed_on import ArchivedFile, ArchiveRecord
from harness.runs.layout import Kind, StageOnDisk, form_of, stage_on_disk
from harness.runs.stages import StageFolder

if TYPE_CHECKING:
    from harness.runs.records import BenchRecord, StageRecord

MANIFEST = "harness-runs.json"
DATE = (1980, 1, 1, 0, 0, 0)  # of every member: the first that a zip can say
BLOCK = 1 << 20  # bytes that are read at once
PACKED = frozenset((".safetensors",))  # of which deflating saves next to nothing


def export_runs(
    output: Path,
    benches: Sequence[BenchRecord],
    archive: Path,
    weights: bool = False,
    features: bool = False,
    shown: Mapping[str, bytes | memoryview] | None = None,
) -> ArchiveRecord:
    """Write ``archive`` with these benches of the run folder ``output``.

    Args:
        weights: with the trained weights of every stage.
        features: with the features that were kept.
        shown: further members, by name in shown/: see ``harness.runs.shown``.
    Raises:
        RunsError: a stage that a bench names is no longer whole, or a file cannot be read.
    """
    names, shown = _names(output, benches, weights, features), shown or {}
    first_bench = len(names) - len(benches)
    files: list[ArchivedFile] = []

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", allowZip64=True) as members:
            files.extend(_add(members, name, _blocks(output / name)) for name in names[:first_bench])
            files.extend(_add(members, name, [content]) for name, content in sorted(shown.items()))
            files.extend(_add(members, name, _blocks(output / name)) for name in names[first_bench:])
            record = _record(benches, files)
            members.writestr(_member(MANIFEST), record.model_dump_json(indent=1).encode())

    atomic_write(archive, fill)
    return _record(benches, files)


def _record(benches: Sequence[BenchRecord], files: Sequence[ArchivedFile]) -> ArchiveRecord:
    return ArchiveRecord(harness=__version__, benches=tuple(bench.id for bench in benches), files=tuple(files))


def _names(output: Path, benches: Sequence[BenchRecord], weights: bool, features: bool) -> list[str]:
    """The files to be archived; benches last, so that no record names a stage that an import has not written yet."""
    kinds: list[Kind] = ["record", *(["weights"] if weights else []), *(["features"] if features else [])]  # type: ignore[list-item]
    stages: dict[str, StageOnDisk] = {}
    scores: dict[str, set[str]] = {}
    for record in (stage for bench in benches for table in bench.tables for stage in table.stages):
        stages.setdefault(record.folder, stage_on_disk(output, record.folder))
        named = scores.setdefault(record.folder, set())
        if record.failure is None:
            _check_whole(output, record)
            named.update(record.scores)
    names: list[str] = []
    for folder, stage in stages.items():
        answering = {
            name
            for name in stage.of_kind("scores", "predictions")
            if name.rpartition("/")[2].removesuffix(".npz") in scores[folder]
        }
        chosen = set(stage.of_kind(*kinds)) | answering
        names += sorted(chosen, key=lambda name: (name.endswith("/trained.json"), name))  # this says that all is there
    return [*names, *_splits(output), *(f"benches/{bench.id}.json" for bench in benches)]


def _splits(output: Path) -> list[str]:
    """The classes that benches were scored on: some kilobytes, without images."""
    names = sorted(f"splits/{path.name}" for path in (output / "splits").glob("*.npz"))
    return [name for name in names if form_of(name) is not None]


def _check_whole(output: Path, record: StageRecord) -> None:
    folder = StageFolder(output / record.folder)
    if folder.result(record.key, record.scores) is None:
        raise RunsError(f"{folder.path} is not whole, so no report can be made of it: run the bench again, then export")


def _add(members: zipfile.ZipFile, name: str, blocks: Iterable[bytes | memoryview]) -> ArchivedFile:
    digest, size = hashlib.sha256(), 0
    with members.open(_member(name), "w", force_zip64=True) as member:
        for block in blocks:
            digest.update(block)
            size += len(block)
            member.write(block)
    return ArchivedFile(name=name, size=size, sha256=digest.hexdigest())


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise RunsError(f"cannot read {path}: {error.strerror}") from None


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, DATE)
    member.compress_type = zipfile.ZIP_STORED if Path(name).suffix in PACKED else zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.create_system = 3  # on every system
    return member

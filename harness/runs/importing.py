"""An archive of runs, checked and merged into a run folder.

The archive may come from anybody. Its names lead nowhere but into the run folder, its sizes are bounded, and every
file's sha256 and content are checked before the first byte is written. What the run folder has stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.common.errors import RunsError
from harness.common.files import atomic_write, parse_json
from harness.common.text import n_bytes_shown, shortened
from harness.runs.benches import writable
from harness.runs.checking import check_file
from harness.runs.exporting import BLOCK, MANIFEST
from harness.runs.handed_on import ArchivedFile, ArchiveRecord
from harness.runs.layout import MIB, form_of, stage_of
from harness.runs.locking import held_if_free
from harness.runs.merging import decide
from harness.runs.records import BenchRecord, parse

MOST_FILES = 1_000_000
MOST_MANIFEST = 512 * MIB
DAMAGES = (  # what zipfile raises on archives that are none, or damaged
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,  # a packing that it does not know among them
    ValueError,
)
STREAMED = frozenset(("weights", "features"))  # kinds that are not looked into
NOT_TAKEN = frozenset(("checkpoint",))  # pickles, and of no use to a reader


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    benches: tuple[str, ...]  # IDs in the archive
    written: int  # files
    kept: tuple[str, ...]  # files of which this folder has others, with the same numbers


@dataclass
class Content:
    """What the files of an archive say, as far as they are looked into."""

    record: ArchiveRecord
    digests: Mapping[str, str]  # name → sha256
    values: dict[str, Any] = field(default_factory=dict)  # name → record or accuracies


def import_runs(archive: Path, output: Path) -> Imported:
    """Merge the runs of ``archive`` into the run folder ``output``, which is made where there is none.

    Raises:
        RunsError: the archive is damaged or no such archive; or a stage of it is in ``output`` with other numbers; or
            a process is at work there on a stage of it. Nothing is written then.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            content = _checked(members, archive)
            decision = decide(content.values, content.digests, output)
            _check_room(output, sum(file.size for file in content.record.files if file.name in decision.write))
            if decision.write:
                writable(output, output / "benches", output / "stages")
            _write(members, content, decision.write, output)
    except OSError as error:
        raise RunsError(f"cannot read {archive}: {error.strerror or error}") from None
    except DAMAGES as error:
        raise RunsError(f"{archive} is no archive of runs, or damaged: {error}") from None
    return Imported(content.record.benches, len(decision.write), tuple(sorted(decision.kept)))


# ── checking ──────────────────────────────────────────────────────────────────────────────────────


def _checked(members: zipfile.ZipFile, archive: Path) -> Content:
    record = _manifest(members, archive)
    by_name = {member.filename: member for member in members.infolist()}
    content = Content(record, {file.name: file.sha256 for file in record.files})
    for file in record.files:
        value = _check(members, by_name[file.name], file)
        if value is not None:
            content.values[file.name] = value
    for name, digest in content.digests.items():
        if name.endswith("/weights.safetensors"):
            trained = content.values.get(f"{stage_of(name)}/trained.json")
            if trained is None or trained.weights_sha256 != digest:
                raise RunsError(f"{shortened(name)} in the archive has other weights than its record names")
    for bench in content.values.values():
        if isinstance(bench, BenchRecord):
            _check_complete(bench, content)
    return content


def _manifest(members: zipfile.ZipFile, archive: Path) -> ArchiveRecord:
    """The list of the archive's files, once its members are these and no others."""
    infos = members.infolist()
    names = [member.filename for member in infos]
    if MANIFEST not in names:
        raise RunsError(f"{archive} is no archive of runs: it has no {MANIFEST}. Make one: harness runs export")
    if len(infos) > MOST_FILES or members.getinfo(MANIFEST).file_size > MOST_MANIFEST:
        raise RunsError(f"{archive} has too many files: {len(infos):,}")
    try:
        value = parse_json(_read(members, members.getinfo(MANIFEST), MOST_MANIFEST))
    except ValueError as error:
        raise RunsError(f"{archive}: {MANIFEST} is damaged ({error})") from None
    record = parse(ArchiveRecord, value, archive / MANIFEST)
    listed = [file.name for file in record.files]
    if len({name.casefold() for name in listed}) < len(listed) or sorted([*listed, MANIFEST]) != sorted(names):
        raise RunsError(f"{archive}: its members are not those that its {MANIFEST} lists")
    return record


def _check(members: zipfile.ZipFile, member: zipfile.ZipInfo, file: ArchivedFile) -> Any:
    form = form_of(file.name)
    if form is None or form.kind in NOT_TAKEN or ".." in file.name.split("/"):
        raise RunsError(f"{shortened(file.name)}: no archive of runs holds such a file; nothing is imported")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RunsError(f"{shortened(file.name)} in the archive is packed in an unusual way")
    if file.size > form.most_bytes or member.file_size != file.size:
        raise RunsError(f"{shortened(file.name)} in the archive is not as large as it should be")
    digest, kept = hashlib.sha256(), bytearray()
    for block in _blocks(members, member, file.size):
        digest.update(block)
        if form.kind not in STREAMED:
            kept += block
    if digest.hexdigest() != file.sha256:
        raise RunsError(f"{shortened(file.name)} in the archive is damaged: its sha256 is not the one that is listed")
    return check_file(form, file.name, bytes(kept))


def _check_complete(bench: BenchRecord, content: Content) -> None:
    for table in bench.tables:
        for stage in table.stages:
            needed = [f"{stage.folder}/scores/{key}.npz" for key in stage.scores] + [f"{stage.folder}/trained.json"]
            missing = [name for name in needed if name not in content.digests]
            if stage.failure is None and missing:
                raise RunsError(f"the archive lacks {shortened(missing[0])}, which bench {bench.id} names")


def _blocks(members: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
    """The content of a member, which must have ``size`` bytes, no more."""
    left = size
    with members.open(member) as stream:
        while block := stream.read(min(BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise RunsError(f"{shortened(member.filename)} in the archive is larger than it is said to be")
            yield block
    if left:
        raise RunsError(f"{shortened(member.filename)} in the archive is cut off")


def _read(members: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    return b"".join(_blocks(members, member, min(member.file_size, most)))


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


def _check_room(output: Path, n_bytes: int) -> None:
    there = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if n_bytes > free:
        raise RunsError(f"{output} has room for {n_bytes_shown(free)}, the archive needs {n_bytes_shown(n_bytes)}")


def _write(members: zipfile.ZipFile, content: Content, names: frozenset[str], output: Path) -> None:
    """Write these files in the archive's order, those of a stage under its lock."""
    order = [file for file in content.record.files if file.name in names]
    stages = dict.fromkeys(stage_of(file.name) for file in order if file.name.startswith("stages/"))
    for stage in stages:
        folder = output / stage
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with held_if_free(folder) as free:
                if not free:
                    raise RunsError(f"{folder} is at work now: import again once it is done. No bench is imported yet")
                for file in order:
                    if stage_of(file.name) == stage:
                        _write_file(members, file, output)
        except OSError as error:
            raise RunsError(f"cannot write to {folder}: {error.strerror}") from None
    for number, file in enumerate(order):
        if not file.name.startswith("stages/"):
            path = _write_file(members, file, output)
            now = path.stat().st_mtime_ns
            os.utime(
                path, ns=(now, now + 1000 * number)
            )  # of benches that ended in one second, the last stays the last


def _write_file(members: zipfile.ZipFile, file: ArchivedFile, output: Path) -> Path:
    path = output / file.name
    digest = hashlib.sha256()

    def fill(target: Any) -> None:
        for block in _blocks(members, members.getinfo(file.name), file.size):
            digest.update(block)
            target.write(block)
        if digest.hexdigest() != file.sha256:
            raise RunsError(f"{shortened(file.name)} changed while it was imported")

    try:
        atomic_write(path, fill)
    except OSError as error:
        raise RunsError(f"cannot write {path}: {error.strerror}. Import again once that is mended") from None
    return path

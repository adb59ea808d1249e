"""What a source holds: the files of a folder, a zip or a tar, those of archives inside it included.

Nothing is unpacked: each file is a range of bytes of its archive (a packed tar is unpacked once into the scratch
folder). So no archive can write anywhere; one whose members point outside it is refused all the same.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from harness.common.errors import DataError
from harness.common.text import shown
from harness.datasets.preparing.sources.files import CHUNK, File, Window, check_space, on_disk, stored

ARCHIVES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar")
UNPACKERS: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ", lzma.open),
)


READ_WHOLE = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
ODD = re.compile(r"^/|\.\.|[\\:\0]")  # what a name that points outside has
LONGEST_HEADER = 1 << 14  # bytes of a tar's header with a long name or other attributes


class _Header(tarfile.TarInfo):
    """A member's header, refused where tarfile would trust its size and read it whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise tarfile.ReadError("a member of negative size")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse member, which needs unpacking first")
        if header.type in READ_WHOLE and header.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


@dataclass(frozen=True)
class Source:
    """Where the data come from, and every file in it by its relative name ("cifar100/data/apple/x.png")."""

    path: Path
    files: dict[str, File]

    def named(self, *names: str) -> dict[str, File]:
        """The files whose last part is one of ``names``."""
        return {name: file for name, file in self.files.items() if name.rpartition("/")[2] in names}


def open_source(path: Path, scratch: Path) -> Source:
    """All files of ``path``, a folder, an archive or a single file.

    Args:
        scratch: an empty folder for what must be unpacked; the caller removes it.
    Raises:
        DataError: no such path, a damaged archive, one that points outside itself or does not fit on the disk.
    """
    try:
        if path.is_dir():
            return Source(path, _list_folder(path))
        if not path.exists():
            raise DataError(f"there is no file or folder {path}: check the path")
        single = on_disk(path)
        listed = _list_archive(single, scratch)
        return Source(path, {path.name: single} if listed is None else listed)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def look_inside(source: Source, scratch: Path) -> Source:
    """The source with each archive in it as a folder of its files: ``n01440764.tar`` as ``n01440764``."""
    files: dict[str, File] = {}
    for name, file in source.files.items():
        ending = next((ending for ending in ARCHIVES if name.lower().endswith(ending)), None)
        inner = _list_archive(file, scratch) if ending else None
        if ending is None or inner is None:
            files[name] = file
        else:
            files.update({f"{name[: -len(ending)]}/{below}": member for below, member in inner.items()})
    return Source(source.path, files)


def _list_folder(folder: Path) -> dict[str, File]:
    files: dict[str, File] = {}
    root = str(folder)
    for parent, folders, names in os.walk(root, followlinks=True):
        if os.path.islink(parent) and _contains_itself(parent):
            folders.clear()
            continue
        folders.sort()
        below = "" if parent == root else os.path.relpath(parent, root).replace(os.sep, "/") + "/"
        for name in sorted(names):
            path, relative = os.path.join(parent, name), below + name
            if not _is_junk(relative) and os.path.isfile(path):
                size = os.stat(path).st_size
                files[relative] = File(size, root, relative, loose=True, packed=size)
    return files


def _contains_itself(link: str) -> bool:
    """Whether a linked folder holds the link itself."""
    around = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([around, os.path.realpath(link)]) == os.path.realpath(link)


def _list_archive(file: File, scratch: Path) -> dict[str, File] | None:
    """The members of an archive, or None where the file is none."""
    file = stored(file, scratch)
    try:
        with Window(file) as window:
            start = window.read(6)
            window.seek(0)
            if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                return dict(_list_zip(file, window, scratch))
            for magic, unpacker in UNPACKERS:
                if start.startswith(magic):
                    return _list_packed_tar(file, unpacker(window), scratch)
            return dict(_list_tar(file, window)) if _is_tar(window) else None
    except (DataError, OSError):
        raise
    except Exception as error:  # zipfile and tarfile raise what they like on damaged archives
        raise DataError(
            f"{file.name}: damaged archive ({type(error).__name__}: {shown(str(error))}): copy or download it again"
        ) from None


def _list_zip(file: File, window: Window, scratch: Path) -> Iterator[tuple[str, File]]:
    with zipfile.ZipFile(window) as archive:
        if not all(member.filename for member in archive.infolist()):
            raise DataError(f"{file.name}: damaged: a member has no name")
        members = [member for member in archive.infolist() if not member.is_dir()]
    total = sum(member.file_size for member in members)
    if total > 1000 * max(file.size, 1) + (1 << 30):
        raise DataError(f"{file.name}: declares {total:,} bytes from {file.size:,}: refused as a decompression bomb")
    check_space(scratch, total, f"{file.name}, unpacked")
    label = file.name
    for member in members:
        name = f"{file.name}: {member.filename}"
        _refuse_unsafe(file.name, member.filename, stat.S_ISLNK(member.external_attr >> 16))
        if member.flag_bits & 1:
            raise DataError(f"{name}: encrypted: unpack the archive and give the folder")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{name}: an unusual compression: unpack the archive and give the folder")
        deflated = member.compress_type == zipfile.ZIP_DEFLATED
        if not _is_junk(member.filename):
            listed_file = File(
                size=member.file_size,
                place=file.path,
                member=member.filename,
                label=label,
                offset=window.start + member.header_offset,
                packed=member.compress_size,
                deflated=deflated,
                zip_header=True,
                crc=member.CRC,
            )
            yield member.filename, listed_file


def _list_tar(file: File, window: Window) -> Iterator[tuple[str, File]]:
    label = file.name
    with tarfile.open(fileobj=io.BufferedReader(window, CHUNK), mode="r:", tarinfo=_Header) as archive:
        for member in archive:
            if member.size < 0:  # as an extended header may say
                raise tarfile.ReadError("a member of negative size")
            _refuse_unsafe(file.name, member.name, member.issym() or member.islnk())
            if member.isfile() and not _is_junk(member.name):
                if member.sparse is not None:
                    raise DataError(f"{file.name}: {member.name} is a sparse member: unpack it and give the folder")
                if member.offset_data + member.size > file.size:
                    raise DataError(f"{file.name}: {member.name} is cut short: copy or download the archive again")
                name, size = member.name.removeprefix("./"), member.size
                yield name, File(size, file.path, name, label, offset=window.start + member.offset_data, packed=size)
            archive.members.clear()  # type: ignore[attr-defined]  # else a million members stay in memory


def _list_packed_tar(file: File, packed: IO[bytes], scratch: Path) -> dict[str, File] | None:
    handle, name = tempfile.mkstemp(dir=scratch, suffix=".tar")
    try:
        with os.fdopen(handle, "wb") as target:
            while chunk := packed.read(CHUNK):
                if target.tell() == 0 and chunk[257:262] != b"ustar":
                    return None
                check_space(scratch, len(chunk) + (1 << 28), f"{file.name}, unpacked")
                target.write(chunk)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{file.name}: damaged archive ({error}): copy or download it again") from None
    plain = on_disk(name, file.name)
    with Window(plain) as window:
        return dict(_list_tar(plain, window))


def _is_tar(window: Window) -> bool:
    window.seek(257)
    magic = window.read(5)
    window.seek(0)
    return magic == b"ustar"


def _refuse_unsafe(archive: str, name: str, is_link: bool) -> None:
    if not is_link and not ODD.search(name):  # as nearly all are: parsing a million paths takes a minute
        return
    unsafe = (
        PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name.replace("\\", "/")).parts
        or bool(PureWindowsPath(name).drive)
        or PureWindowsPath(name).is_absolute()
        or "\0" in name
    )
    if unsafe or is_link:
        what = "is a link" if is_link else "points outside the archive"
        raise DataError(f"{archive}: its member {shown(name)} {what}: refused; unpack it yourself if you trust it")


def _is_junk(name: str) -> bool:
    """What systems leave in folders: ``__MACOSX``, ``._x``, ``.DS_Store``, ``Thumbs.db``."""
    return any(part.startswith(("._", "__MACOSX")) or part in {".DS_Store", "Thumbs.db"} for part in name.split("/"))

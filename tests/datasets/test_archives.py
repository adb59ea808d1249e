"""Archives are read in place; those that point outside themselves, lie, or would fill the disk are refused."""

from __future__ import annotations

import io
import shutil
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from harness.common.errors import DataError
from harness.datasets.preparing.sources.archives import look_inside, open_source
from harness.datasets.preparing.sources.files import read, view


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


MEMBERS = {"a/one.txt": b"1" * 5000, "a/b/two.bin": bytes(range(256)) * 20, "empty": b""}


@pytest.mark.parametrize("ending", ["zip", "stored.zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "folder"])
def test_every_container_holds_the_same_files(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{ending}"
    if ending.endswith("zip"):
        zipped(path, MEMBERS, zipfile.ZIP_STORED if "stored" in ending else zipfile.ZIP_DEFLATED)
    elif ending == "folder":
        for name, data in MEMBERS.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    else:
        tarred(path, MEMBERS, f"w:{ending.partition('.')[2]}")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source = open_source(path, scratch)
    assert {name: read(file) for name, file in source.files.items()} == MEMBERS
    for name in ("a/one.txt", "a/b/two.bin"):
        assert bytes(view(source.files[name], scratch)) == MEMBERS[name]


@pytest.mark.parametrize("outer", ["folder", "zip", "stored.zip", "tar", "tar.gz"])
@pytest.mark.parametrize("inner", ["zip", "tar", "tar.gz"])
def test_archives_inside_are_folders_once_looked_into(outer: str, inner: str, tmp_path: Path) -> None:
    packed = tmp_path / f"n01.{inner}"
    zipped(packed, MEMBERS) if inner == "zip" else tarred(packed, MEMBERS, f"w:{inner.partition('.')[2]}")
    path = tmp_path / f"outer.{outer}"
    content = {f"x/{packed.name}": packed.read_bytes(), "y": b"y"}
    if outer == "folder":
        (path / "x").mkdir(parents=True)
        (path / "y").write_bytes(b"y")
        shutil.copy(packed, path / "x")
    elif outer.endswith("zip"):
        zipped(path, content, zipfile.ZIP_STORED if "stored" in outer else zipfile.ZIP_DEFLATED)
    else:
        tarred(path, content, f"w:{outer.partition('.')[2]}")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = look_inside(open_source(path, scratch), scratch)
    expected = {f"x/n01/{name}": data for name, data in MEMBERS.items()} | {"y": b"y"}
    assert {name: read(file) for name, file in found.files.items()} == expected


@pytest.mark.parametrize("name", ["/etc/passwd", "../out", "a/../../out", "C:\\out", "..\\out", "\\\\host\\share\\x"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_that_point_outside_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"data.{kind}"
    zipped(path, {"ok": b"1"}) if kind == "zip" else tarred(path, {name: b"1"})
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("x")
            info.filename = name  # past zipfile's own cleaning
            archive.writestr(info, b"1")
    with pytest.raises(DataError, match="points outside the archive: refused"):
        open_source(path, tmp_path)


@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_in_a_tar_are_refused(link: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        info = tarfile.TarInfo("passwords")
        info.type, info.linkname = link, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="'passwords' is a link: refused"):
        open_source(tmp_path / "data.tar", tmp_path)


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        info = zipfile.ZipInfo("passwords")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="'passwords' is a link: refused"):
        open_source(tmp_path / "data.zip", tmp_path)


Usage = namedtuple("Usage", "total used free")


def test_an_archive_that_declares_more_than_fits_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "data.zip", {"big": b"0" * 3_000_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10, 8, 2_000_000))
    with pytest.raises(DataError, match=r"needs 0\.0 GB of disk, 0\.0 GB are free"):
        open_source(path, tmp_path)


def test_a_packed_tar_stops_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarred(tmp_path / "data.tar.gz", {"big": b"0" * 30_000_000}, "w:gz")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10, 8, 1 << 28))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(DataError, match="unpacked: needs"):
        open_source(path, scratch)
    assert sum(file.stat().st_size for file in scratch.iterdir()) < 3_000_000


def test_a_member_that_unpacks_to_more_than_it_declares_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "data.zip", {"bomb": b"0" * 5_000_000}).read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 1000)  # the declared size
    (tmp_path / "data.zip").write_bytes(data)
    source = open_source(tmp_path / "data.zip", tmp_path)
    with pytest.raises(DataError, match="more than the 1,000 bytes it declares"):
        read(source.files["bomb"])


def test_a_zip_member_without_a_name_is_refused(tmp_path: Path) -> None:
    nameless = zipfile.ZipInfo("x")
    nameless.filename = ""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr(nameless, b"1")
    with pytest.raises(DataError, match=r"photos\.zip: damaged: a member has no name"):
        open_source(tmp_path / "photos.zip", tmp_path)


def test_a_zip_that_declares_a_thousandfold_is_refused_as_a_bomb(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "data.zip", {"bomb": b"0" * 1000}).read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 0xFFFFFF00)
    (tmp_path / "data.zip").write_bytes(data)
    with pytest.raises(DataError, match="decompression bomb"):
        open_source(tmp_path / "data.zip", tmp_path)


def test_a_flipped_byte_in_a_member_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "data.zip", {"x": b"abcdef" * 100}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"abcdef") + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        read(open_source(path, tmp_path).files["x"])


def test_an_encrypted_member_is_told(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "data.zip", {"x": b"1"}).read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 8] |= 1
    (tmp_path / "data.zip").write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        open_source(tmp_path / "data.zip", tmp_path)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_a_cut_archive_is_one_error_or_shows_only_whole_members(ending: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / f"data.{ending}"
    zipped(path, MEMBERS) if ending == "zip" else tarred(path, MEMBERS, f"w:{ending.partition('.')[2]}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    try:
        found = {name: read(file) for name, file in open_source(path, scratch).files.items()}
    except DataError as error:
        told = str(error)
    else:
        assert all(name == path.name or MEMBERS[name] == data for name, data in found.items())
        return
    assert str(path) in told


def test_what_systems_leave_in_folders_is_passed_over(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/._1.png", "__MACOSX/cat/1.png", "cat/.DS_Store"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(b"x")
    assert list(open_source(tmp_path / "d", tmp_path).files) == ["cat/1.png"]


def test_a_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(b"x")
    (tmp_path / "d" / "again").symlink_to(tmp_path / "d")
    assert list(open_source(tmp_path / "d", tmp_path).files) == ["x"]


def test_an_absent_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        open_source(tmp_path / "nothing", tmp_path)

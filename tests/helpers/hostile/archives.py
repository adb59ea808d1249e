"""zip and tar archives that declare what they do not hold, point outside, or never end."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.case import RED, Case, damaged

OUTSIDE = ("/etc/passwd", "../out", "a/../../out", "C:\\out", "..\\out", "\\\\host\\x", "a\0b", "x/" * 30_000 + "..")


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(*names: str, data: bytes | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("n01/1.png", "n02/1.png"):
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            archive.writestr(info, png() if data is None else data)
    return buffer.getvalue()


def changed(data: bytes, signature: bytes, place: int, value: bytes) -> bytes:
    at = data.rindex(signature) + place
    return data[:at] + value + data[at + len(value) :]


def overlapping() -> bytes:
    """Four entries that are one and the same run of bytes, each said to unpack to hundreds of megabytes."""
    data = zipped("n01/1.png", data=bytes(300_000_000))
    start, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = data[start:end]
    entries = b"".join(entry.replace(b"n01/1.png", b"n01/%d.png" % n) for n in range(4))
    return data[:start] + entries + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 4, 4, len(entries), start, 0)


def header(name: bytes = b"n01/1.png", size: bytes = b"00000000010\0", kind: bytes = b"0", link: bytes = b"") -> bytes:
    raw = name.ljust(100, b"\0") + b"0000644\0" * 3 + size + b"00000000000\0" + b" " * 8 + kind + link.ljust(100, b"\0")
    raw = (raw + b"ustar\x0000").ljust(512, b"\0")
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def extended(record: bytes, kind: bytes = b"x") -> bytes:
    data = b"%d %s\n" % (len(record) + 1 + len(str(len(record) + 4)), record)
    return header(b"pax", b"%011o\0" % len(data), kind) + data.ljust(512, b"\0")


FILE = header() + bytes(512)
END = bytes(1024)
EXTENDED = header(b"p", b"00000000100\0", b"x")
TARS: dict[str, bytes] = {
    "negative size": header(size=b"\xff" * 12) + END,
    "a size of 2^80": header(size=b"\x80" + b"\xff" * 11) + END,
    "a size that is no number": header(size=b"zzzzzzzzzzz\0") + END,
    "an extended size of -1000": extended(b"size=-1000") + FILE + END,
    "an extended size of -512": FILE + extended(b"size=-512") + FILE + END,
    "an extended size of 10^30": extended(b"size=1" + b"0" * 30) + FILE + END,
    "an extended name that points outside": extended(b"path=../../x") + FILE + END,
    "an extended name that obeys": extended(b"path=n01/" + RED.encode() + b".png") + FILE + END,
    "an extended length of 10^9": EXTENDED + b"999999999 a=b\n".ljust(512, b"\0") + FILE + END,
    "an extended length of 0": EXTENDED + b"0 a=b\n".ljust(512, b"\0") + FILE + END,
    "5,000 extended headers in a row": extended(b"a=b") * 5_000 + FILE + END,
    "5,000 global headers in a row": extended(b"a=b", b"g") * 5_000 + FILE + END,
    "5,000 long names in a row": (header(b"l", b"00000000004\0", b"L") + b"abc".ljust(512, b"\0")) * 5_000 + FILE + END,
    "an old sparse member": header(kind=b"S") + bytes(512) + END,
    "a new sparse member": extended(b"GNU.sparse.map=0,1,2") + FILE + END,
    "a sparse member of 10^12 parts": extended(b"GNU.sparse.major=1") + extended(b"GNU.sparse.size=1") + FILE + END,
    "a symbolic link": header(kind=b"2", link=b"/etc/passwd") + END,
    "a hard link": header(kind=b"1", link=b"/etc/passwd") + END,
    "a device": header(kind=b"3") + FILE + END,
    "a pipe": header(kind=b"6") + FILE + END,
    "an unknown kind": header(kind=b"Z") + bytes(512) + END,
    "a wrong checksum": header()[:148] + b"0000000\0" + header()[156:] + END,
}


def _sparse_file(kind: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        """A header that declares 3 GB, and a file that has them, of zeros that take no disk."""
        path = folder / "data.tar"
        path.write_bytes(header(b"long", b"\x80\0\0\0\0\0\0\0\xc0\0\0\0", kind))
        os.truncate(path, 3_500_000_000)
        return path

    return build


def _packed_bomb() -> bytes:
    return gzip.compress(header(size=b"%011o\0" % 300_000_000) + bytes(300_000_000) + END, 1)


def _file(name: str, data: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def _zips() -> Iterator[tuple[str, bytes, bool]]:
    good = zipped()
    for name in OUTSIDE:
        yield f"a member {name[:20]!r}", zipped(name), "\0" not in name  # zipfile cuts names at a zero byte
    info = zipfile.ZipInfo("n01")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc")
    yield "a link", buffer.getvalue(), True
    yield "a name that obeys", zipped(f"n01/{RED}.png"), False
    yield "a folder whose name obeys", zipped(f"{RED}/1.png"), True
    yield "a name of 60,000 letters", zipped("n01/" + "x" * 60_000 + ".png"), False
    yield "a declared size of 4 GB", changed(good, b"PK\x01\x02", 24, b"\xfe\xff\xff\xff"), True
    yield "a declared size of 3", changed(good, b"PK\x01\x02", 24, b"\x03\0\0\0"), True
    yield "a packed size of 4 GB", changed(good, b"PK\x01\x02", 20, b"\xfe\xff\xff\xff"), False
    yield "a place behind the file", changed(good, b"PK\x01\x02", 42, b"\xf0\xff\xff\x7f"), True
    yield "an encrypted member", changed(good, b"PK\x01\x02", 8, b"\x01"), True
    yield "packed in another way", changed(good, b"PK\x01\x02", 10, b"\x63"), True
    yield "a directory of 4 GB", changed(good, b"PK\x05\x06", 12, b"\xfe\xff\xff\xff"), True
    yield "a directory behind the file", changed(good, b"PK\x05\x06", 16, b"\xfe\xff\xff\x7f"), True
    yield "a directory of 65,534 members", changed(good, b"PK\x05\x06", 8, b"\xfe\xff\xfe\xff"), False
    nested = good
    for _ in range(6):
        nested = zipped("inner.zip", data=nested)
    yield "archives six deep", nested, True
    yield "an archive in it that is none", zipped("n01.zip", data=b"PK\x03\x04 no archive"), True


HEAVY: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("zip: an image that unpacks to 300 MB", "data.zip", lambda: zipped("n01/1.png", data=bytes(300_000_000))),
    ("zip: members that overlap", "data.zip", overlapping),
    ("zip: 100,000 members", "data.zip", lambda: zipped(*(f"other/{n}.txt" for n in range(100_000)), data=b"")),
    ("tar: a packed image of 300 MB", "data.tar.gz", _packed_bomb),
)


def cases() -> Iterator[Case]:
    for name, file, make in HEAVY:
        yield Case(name, lambda folder, f=file, make=make: _file(f, make())(folder), refused=True, heavy=True)  # type: ignore[misc]
    for kind, data, refused in _zips():
        yield Case(f"zip: {kind}", _file("data.zip", data), refused=refused)
    for kind, data in TARS.items():
        yield Case(f"tar: {kind}", _file("data.tar", data), refused=True)
    for name in OUTSIDE[:-2]:
        yield Case(f"tar: a member {name!r}", _file("data.tar", header(name.encode()) + bytes(512) + END), refused=True)
    for kind in b"xgXLK":
        yield Case(f"tar: a header {chr(kind)} of 3 GB", _sparse_file(bytes([kind])), refused=True)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name in ("n01/1.png", "n02/1.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png())
            archive.addfile(info, io.BytesIO(png()))
    for name, data in (("zip", zipped()), ("tar", plain.getvalue()), ("tar.gz", gzip.compress(plain.getvalue()))):
        yield from damaged(
            f"{name[:3]}: data.{name}",
            data,
            lambda folder, data, name=name: _file(f"data.{name}", data)(folder),
            "prepare",
        )

"""numpy files whose headers lie, and .npz archives."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hostile.case import RED, Case, damaged

GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4, 3), }"
HEADERS: dict[str, str] = {
    "10^18 images": GOOD.replace("2, 4", "1000000000000000000, 4"),
    "no images": GOOD.replace("(2,", "(0,"),
    "-2 images": GOOD.replace("(2,", "(-2,"),
    "True images": GOOD.replace("(2,", "(True,"),
    "a shape of 3,000 digits": GOOD.replace("(2,", f"({'9' * 3000},"),
    "a shape of 2,000 sides": GOOD.replace("(2,", "(" + "1," * 2000),
    "a shape of one side": GOOD.replace("(2, 4, 4, 3)", "(96,)"),
    "no shape": GOOD.replace("(2, 4, 4, 3)", "()"),
    "a shape that is text": GOOD.replace("(2, 4, 4, 3)", "'abc'"),
    "columns": GOOD.replace("False", "True"),
    "objects": GOOD.replace("|u1", "|O"),
    "records": GOOD.replace("'|u1'", "[('a', '|u1')]"),
    "nothing by the trillion": GOOD.replace("|u1", "|S0").replace("(2,", "(1000000000000,"),
    "a deep expression": "(" * 5000 + ")" * 5000,
    "a wide expression": "[" + "1," * 4000 + "]",
    "code": "__import__('os').system('true')",
    "a power": "{'descr': '|u1', 'fortran_order': False, 'shape': (9**9**9,), }",
    "another key": GOOD.replace("'descr'", "'x'"),
    "a type that obeys": GOOD.replace("|u1", RED),
    "no dict": "None",
    "nothing": "",
}


def npy(header: str, data: bytes = bytes(96), version: int = 1) -> bytes:
    text = header.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def npz(member: bytes, name: str = "images.npy", compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, member)
    return buffer.getvalue()


def write(folder: Path, data: bytes) -> None:
    (folder / "train_images.npz").write_bytes(data)
    (folder / "train_labels.pkl").write_bytes(pickle.dumps({"labels": [0, 1]}, 2))


def cases() -> Iterator[Case]:
    def case(kind: str, data: bytes, refused: bool = True) -> Case:
        return Case(f"npz: {kind}", lambda folder: write(folder, data), refused=refused)

    for kind, header in HEADERS.items():
        yield case(f"header: {kind}", npz(npy(header)))
    yield case("header: of 4 GB", npz(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + GOOD.encode()))
    yield case("header: version 3", npz(npy(GOOD, version=3)))
    yield case("header: version 99", npz(npy(GOOD, version=99)))
    yield case("too few bytes", npz(npy(GOOD, bytes(95))))
    yield case("too many bytes", npz(npy(GOOD, bytes(97))))
    yield case("200 MB of zeros", npz(npy(GOOD, bytes(200_000_000)), compression=zipfile.ZIP_DEFLATED))
    yield case("packed with lzma", npz(npy(GOOD), compression=zipfile.ZIP_LZMA))
    yield case("an array whose name obeys", npz(npy(GOOD), name=f"{RED}.npy"))
    yield case("an array with a long name", npz(npy(GOOD), name="x" * 60_000))
    yield case("a pickle", npz(pickle.dumps([1])))
    yield case("an archive in it", npz(npz(npy(GOOD))))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=np.zeros((2, 4, 4, 3), np.uint8))
    yield from damaged("npz: packed", buffer.getvalue(), write, "prepare")
    yield from damaged("npz: stored", npz(npy(GOOD)), write, "prepare")

"""CSV tables, in both places where one is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hostile.archives import png
from hostile.case import RED, Case, damaged

TABLES: dict[str, tuple[bytes, bool]] = {
    "a million columns": (b"A,B" + b",x" * 1_000_000 + b"\n" + b"1.png,n01\n" * 1_000, False),
    "five million lines": (b"A,B\n" + b"x,y\n" * 5_000_000, True),
    "five million empty lines": (b"A,B\n" + b"\n" * 5_000_000, False),
    "40 MB of commas": (b"A,B\n" + b"," * 40_000_000, True),
    "a field of a megabyte": (b"A,B\n" + b"x" * 1_000_000 + b",n01\n", True),
    "a quote that does not end": (b'A,B\n"' + b"x\n" * 100_000, True),
    "bytes that are no UTF-8": (b"A,B\n\xff\xfe,n01\n", True),
    "UTF-16": ("A,B\n1.png,n01\n".encode("utf-16"), False),
    "zero bytes": (b"A,B\n\0\0\0,n01\n", True),
    "escape sequences": (f"A,B\n{RED},{RED}\n1.png,{RED}\n".encode(), True),
    "a class of another name": (b"A,B\n1.png,unknown\n", True),
    "an image twice": (b"A,B\n1.png,n01\n1.png,n01\n", False),
    "an image a million times": (b"A,B\n" + b"1.png,n01\n" * 900_000, False),
    "a path that points outside": (b"A,B\n../../../etc/passwd,n01\n", True),
    "lines that are short": (b"A,B\n1.png\n\n,\n", True),
    "columns twice": (b"A,B,A,B\n1.png,n01,2.png,n02\n", False),
    "nothing": (b"", False),
}


def _listed(folder: Path, data: bytes) -> None:
    (folder / "1.png").write_bytes(png())
    (folder / "train.csv").write_bytes(data.replace(b"A,B", b"filename,label"))


def _classes(folder: Path, data: bytes) -> None:
    for name in ("n01", "n02"):
        (folder / name).mkdir()
        (folder / name / "1.png").write_bytes(png())
    (folder / "classes.csv").write_bytes(data.replace(b"A,B", b"class,split").replace(b"1.png,n01", b"n01,train"))


def cases() -> Iterator[Case]:
    writers: tuple[tuple[str, str, Callable[[Path, bytes], None]], ...] = (
        ("train.csv", "prepare", _listed),
        ("classes.csv", "folder", _classes),
    )
    for name, reader, write in writers:
        for kind, (data, refused) in TABLES.items():
            yield Case(
                f"csv: {name}: {kind}",
                lambda folder, write=write, data=data: write(folder, data),  # type: ignore[misc]
                reader,
                refused,
                heavy="million" in kind and name == "classes.csv",
            )
        yield from damaged(f"csv: {name}", b"A,B\n1.png,n01\n" * 3, write, reader)
    for name in ("synsets.txt", "class_names.txt"):
        for kind, text in (("two million lines", "\n" * 2_000_000), ("escape sequences", RED)):
            yield Case(f"csv: {name}: {kind}", lambda folder, n=name, t=text: _lists(folder, n, t))  # type: ignore[misc]


def _lists(folder: Path, name: str, text: str) -> None:
    from hostile.pickles import pickled

    (folder / "train_images_png.pkl").write_bytes(pickled([png(), png()]))
    (folder / "train_labels.pkl").write_bytes(
        pickled({"label_specific": [0, 1], "label_specific_str": ["red fox", "grey wolf"]})
    )
    (folder / "synsets.txt").write_text("n01\nn02\n")
    (folder / "class_names.txt").write_text("red fox\ngrey wolf\n")
    (folder / name).write_text(text)

"""Prepared datasets that somebody has changed: dataset.json and the arrays beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hostile.arrays import GOOD, HEADERS, npy, npz
from hostile.case import RED, Case, damaged

WRONG: dict[str, Any] = {
    "null": None,
    "a negative number": -1,
    "10^300": 10**300,
    "infinity": float("inf"),
    "true": True,
    "a text": "x",
    "escape sequences": RED,
    "a long text": "x" * 1_000_000,
    "an empty list": [],
    "an empty object": {},
    "a list of nulls": [None] * 3,
    "lists 500 deep": json.loads("[" * 500 + "]" * 500),
}
POSITIONS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "format": lambda index, v: index.update(format=v),
    "name": lambda index, v: index.update(name=v),
    "splits": lambda index, v: index.update(splits=v),
    "a split": lambda index, v: index["splits"].update(test=v),
    "another split": lambda index, v: index["splits"].update({"../../x": v}),
    "image_shape": lambda index, v: index["splits"]["test"].update(image_shape=v),
    "a side": lambda index, v: index["splits"]["test"].update(image_shape=[4, v, 3]),
    "classes": lambda index, v: index["splits"]["test"].update(classes=v),
    "a class": lambda index, v: index["splits"]["test"].update(classes=[v, v]),
    "a class's name": lambda index, v: index["splits"]["test"]["classes"][0].__setitem__(0, v),
    "a class's images": lambda index, v: index["splits"]["test"]["classes"][0].__setitem__(1, v),
    "fingerprint": lambda index, v: index["splits"]["test"].update(fingerprint=v),
    "notes": lambda index, v: index.update(notes=v),
    "a note": lambda index, v: index.update(notes=[v]),
    "origin": lambda index, v: index.update(origin=v),
    "an origin": lambda index, v: index.update(origin={"source": v, RED: v}),
}
RAW: dict[str, bytes] = {
    "nothing": b"",
    "lists a million deep": b"[" * 1_000_000,
    "objects 100,000 deep": b'{"a":' * 100_000,
    "a number of a million digits": b'{"format": ' + b"9" * 1_000_000 + b"}",
    "a list of six million": b"[" + b"1," * 6_000_000 + b"1]",
    "bytes that are no UTF-8": b'{"format": "\xff\xfe"}',
    "escape sequences": RED.encode(),
    "a list": b"[]",
}


def index() -> dict[str, Any]:
    classes = [["a", 1, "0" * 64], ["b", 1, "1" * 64]]
    split = {"image_shape": [4, 4, 3], "classes": classes, "fingerprint": "f"}
    return {"format": 1, "name": "x", "splits": {"test": split}, "notes": [], "origin": {}}


def write(folder: Path, dataset: bytes | None = None, images: bytes | None = None, labels: bytes | None = None) -> None:
    saved = io.BytesIO()
    np.save(saved, np.array([0, 1]))
    (folder / "dataset.json").write_bytes(json.dumps(index()).encode() if dataset is None else dataset)
    (folder / "test_images.npy").write_bytes(npy(GOOD) if images is None else images)
    (folder / "test_labels.npy").write_bytes(saved.getvalue() if labels is None else labels)


def _changed(position: str, value: Any) -> bytes:
    changed = index()
    POSITIONS[position](changed, value)
    return json.dumps(changed).encode()


def cases() -> Iterator[Case]:
    for position in POSITIONS:
        for kind, value in WRONG.items():
            yield Case(
                f"prepared: {position}: {kind}",
                lambda folder, position=position, value=value: write(folder, _changed(position, value)),  # type: ignore[misc]
                "prepared",
            )
    for kind, data in RAW.items():
        yield Case(f"prepared: dataset.json: {kind}", lambda folder, data=data: write(folder, data), "prepared", True)  # type: ignore[misc]
    for kind, header in HEADERS.items():
        yield Case(
            f"prepared: images.npy: {kind}",
            lambda folder, header=header: write(folder, images=npy(header)),  # type: ignore[misc]
            "prepared",
            refused=kind != "columns",
        )
        labels = header.replace("|u1", "<i8").replace("(2, 4, 4, 3)", "(2,)").replace(", 4, 4, 3)", ",)")
        yield Case(
            f"prepared: labels.npy: {kind}",
            lambda folder, labels=labels: write(folder, labels=npy(labels, bytes(16))),  # type: ignore[misc]
            "prepared",
            refused=kind != "columns",
        )
    for name in ("images", "labels"):
        yield Case(
            f"prepared: {name}.npy: an archive",
            lambda folder, n=name: write(folder, **{n: npz(npy(GOOD))}),
            "prepared",
            True,
        )  # type: ignore[misc]
    yield from damaged("prepared: dataset.json", json.dumps(index()).encode(), write, "prepared")

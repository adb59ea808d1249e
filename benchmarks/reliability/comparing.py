"""Whether two folders hold the same results, times and memory apart."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

CHANGING = re.compile(r'"(created|begun|fit_seconds|embed_seconds|peak_memory_bytes|origin|images_per_second)"')
UNEQUAL = ("log", "log.jsonl")  # say when things happened
VECTORS = re.compile(r"\.(pdf|png)$")  # drawn with times in them
PRESENT = ("embeddings", "cache")  # kept to save time: what they hold depends on what was asked for first


def differences(whole: Path, other: Path) -> list[str]:
    """Files that only one of two folders has, or that hold something else than times and memory."""
    ours, theirs = files(whole), files(other)
    lines = [
        f"only in {'one that was killed' if path in theirs else 'the whole one'}: {path}" for path in ours ^ theirs
    ]
    lines += [f"other content: {path}" for path in ours & theirs if content(whole / path) != content(other / path)]
    return sorted(lines)


def files(place: Path) -> set[Path]:
    paths = {path.relative_to(place) for path in place.rglob("*") if path.is_file()}
    return {path for path in paths if not path.name.endswith("lock") and "cache" not in path.parts}


def content(path: Path) -> Any:
    """What of a file must be the same each time."""
    if path.name in UNEQUAL or VECTORS.search(path.name) or set(PRESENT) & set(path.parts):
        return None
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name].tobytes() for name in file.files if name != "about"}
    if path.suffix == ".pt":
        return _state(path)
    if path.name == "metrics.csv":
        lines = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]
    if path.suffix in (".json", ".csv", ".svg", ".html"):
        return stripped(path.read_text(encoding="utf-8"))
    return path.read_bytes()


def _state(path: Path) -> dict[str, bytes]:
    """The network of a checkpoint."""
    from harness.training.checkpoints import read_checkpoint

    return {name: value.numpy().tobytes() for name, value in read_checkpoint(path)["network"].items()}


def stripped(text: str) -> list[str]:
    """Lines without times, speeds, memory and places."""
    lines = [line for line in text.splitlines() if not CHANGING.search(line)]
    bare = [re.sub(r"\d[\d,.]* (s|min|MiB)\b|\S*/(whole|killed)/|<dc:date>.*", "", line) for line in lines]
    return [re.sub(r"\s+|-{3,}", " ", line) for line in bare]  # columns are as wide as what stands in them

"""Files of embeddings, in whichever form, as one value. What is wrong with a file is one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import HarnessError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings, and what says which images they are of. Without hashes and rows: row i is of image i."""

    path: Path
    values: np.ndarray  # (N, D) float32, finite
    hashes: np.ndarray | None = None  # (N, 32) uint8, the sha256 of each image's pixels
    rows: np.ndarray | None = None  # (N,) int64, the image's place in its split
    labels: np.ndarray | None = None  # (N,) int64, or the names of the classes
    split: np.ndarray | None = None  # (N,) str: train, val or test; None: the split that is scored

    def __len__(self) -> int:
        return len(self.values)


def read(file: str | Path) -> Embeddings:
    """The embeddings in a file.

    Raises:
        HarnessError: it cannot be read, or does not hold (N, D) finite numbers and N entries of all else.
    """
    path = Path(file).expanduser()
    if path.suffix not in READERS:
        raise HarnessError(f"{path}: embeddings are read from files that end in {', '.join(READERS)}")
    try:
        arrays = READERS[path.suffix](path)
    except ImportError:
        raise HarnessError(f"{path}: .parquet needs pyarrow: pip install pyarrow, or save an .npz") from None
    except Exception as error:  # each library raises what it likes on damaged files
        raise HarnessError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if "embeddings" not in arrays:
        raise HarnessError(f"{path} has no 'embeddings'; it has {', '.join(map(repr, arrays)) or 'nothing'}")
    values = arrays["embeddings"]
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise HarnessError(f"{path}: 'embeddings' are {values.dtype} {values.shape}, not numbers (N, D)")
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(1))[0])
        raise HarnessError(f"{path}: embeddings that are NaN or infinite, that in row {row} first")
    n = len(values)
    labels = _labels(path, arrays, n)
    return Embeddings(path, values, _hashes(path, arrays, n), _rows(path, arrays, n), labels, _split(path, arrays, n))


def _entries(path: Path, arrays: Arrays, name: str, n: int) -> np.ndarray | None:
    """The array of that name with an entry an embedding. None: it is not there."""
    if name not in arrays:
        return None
    if arrays[name].ndim == 0 or len(arrays[name]) != n:
        raise HarnessError(f"{path}: {n:,} embeddings, but {name!r} has the shape {arrays[name].shape}")
    return arrays[name]


def _hashes(path: Path, arrays: Arrays, n: int) -> np.ndarray | None:
    hashes = _entries(path, arrays, "hashes", n)
    if hashes is None or (hashes.dtype == np.uint8 and hashes.shape == (n, 32)):
        return hashes
    try:
        return np.stack([np.frombuffer(bytes.fromhex(str(digest)), np.uint8) for digest in hashes]).reshape(n, 32)
    except ValueError:
        raise HarnessError(f"{path}: 'hashes' are neither uint8 (N, 32) nor 64 hexadecimal digits each") from None


def _rows(path: Path, arrays: Arrays, n: int) -> np.ndarray | None:
    rows = _entries(path, arrays, "rows", n)
    if rows is not None and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise HarnessError(f"{path}: 'rows' are {rows.dtype} {rows.shape}, not whole numbers (N,)")
    return rows


def _labels(path: Path, arrays: Arrays, n: int) -> np.ndarray | None:
    labels = _entries(path, arrays, "labels", n)
    if labels is None:
        return None
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise HarnessError(f"{path}: 'labels' are {labels.dtype} {labels.shape}, not whole numbers or names (N,)")
    return labels


def _split(path: Path, arrays: Arrays, n: int) -> np.ndarray | None:
    if "split" in arrays and arrays["split"].ndim == 0:
        return np.full(n, str(arrays["split"]))
    return _entries(path, arrays, "split", n)


# ── the forms ─────────────────────────────────────────────────────────────────────────────────────


def _npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz: save it with numpy.savez(FILE, embeddings=…, labels=…)")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: Path) -> Arrays:
    """Tensors, and words as JSON in the metadata."""
    import torch
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        words = {name: np.array(json.loads(text)) for name, text in (file.metadata() or {}).items() if name in WORDS}
    floats = {name: tensor.float() if tensor.dtype == torch.bfloat16 else tensor for name, tensor in tensors.items()}
    return {**{name: tensor.numpy() for name, tensor in floats.items()}, **words}


def _parquet(path: Path) -> Arrays:
    import pandas as pd

    table: Any = pd.read_parquet(path)
    columns = {name: table[name].to_numpy() for name in table.columns}
    if "embeddings" in columns:
        columns["embeddings"] = np.stack(list(columns["embeddings"]))
    return {name: np.array(column.tolist()) if column.dtype == object else column for name, column in columns.items()}


WORDS = ("labels", "split", "hashes")
READERS: Mapping[str, Callable[[Path], Arrays]] = {".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet}

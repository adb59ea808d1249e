"""The prepared form of a dataset: memory-mapped images that open in milliseconds, whatever their number.

    DATA_ROOT/NAME/
        dataset.json                format, fingerprints, classes with their image counts, where it came from
        {train,val,test}_images.npy (N, H, W, C) uint8, ordered by class, then by the sha256 of the pixels
        {train,val,test}_labels.npy (N,) int64

A folder of that name is always whole: it is written as ``.NAME.preparing`` and renamed when it is on disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from harness.common.errors import CannotWrite, DataError
from harness.common.files import NO_ROOM, in_bytes, parse_json, sync_folder, write_json
from harness.common.text import shown, shown_shape
from harness.contract.data import Dataset, DatasetSpec, Split, SplitName
from harness.datasets.prepared.fingerprints import class_digest, split_fingerprint

FORMAT = 1
INDEX = "dataset.json"
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
LARGEST_INDEX = 64 << 20  # bytes
LARGEST_SIDE = 1 << 16  # pixels


@dataclass(frozen=True)
class ClassRecord:
    """A class as dataset.json lists it."""

    name: str
    images: int
    sha256: str  # of the digests of its images, see fingerprints.py


@dataclass(frozen=True)
class SplitRecord:
    """A split as dataset.json lists it."""

    image_shape: tuple[int, int, int]  # H, W, C
    classes: tuple[ClassRecord, ...]
    fingerprint: str

    @property
    def images(self) -> int:
        return sum(class_record.images for class_record in self.classes)


@dataclass(frozen=True)
class Index:
    """What dataset.json holds."""

    name: str
    splits: dict[SplitName, SplitRecord]
    notes: tuple[str, ...] = ()  # what every table must say of the data
    origin: dict[str, str] = field(default_factory=dict)  # the source's path and form, when; in no fingerprint


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def read_index(folder: Path) -> Index:
    """Raises DataError where dataset.json is absent, damaged, or of another format version."""
    path = folder / INDEX
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise ValueError
        raw = parse_json(path.read_bytes())
        if raw["format"] != FORMAT:
            raise DataError(
                f"{path}: prepared in format {shown(raw['format'])}, this harness reads format {FORMAT}: "
                "prepare it again"
            )
        splits = {name: _split_record(raw["splits"][name]) for name in SPLITS if name in raw["splits"]}
        texts = (raw["name"], *raw["notes"], *raw["origin"].keys(), *raw["origin"].values())
        if not splits or not set(raw["splits"]) <= set(SPLITS) or not all(isinstance(text, str) for text in texts):
            raise ValueError
        return Index(raw["name"], splits, tuple(raw["notes"]), raw["origin"])
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): prepare the dataset again") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is damaged: delete {folder} and prepare the dataset again") from None


def _split_record(raw: Any) -> SplitRecord:
    """Raises ValueError where ``raw`` holds anything but what ``write_index`` writes."""
    match raw:
        case {
            "image_shape": [int(), int(), int()] as shape,
            "classes": list() as classes,
            "fingerprint": str() as fingerprint,
        }:
            if min(shape) > 0 and max(shape) <= LARGEST_SIDE:
                return SplitRecord((shape[0], shape[1], shape[2]), tuple(map(_class_record, classes)), fingerprint)
    raise ValueError


def _class_record(raw: Any) -> ClassRecord:
    match raw:
        case [str() as name, int() as images, str() as digest] if images >= 0:
            return ClassRecord(name, images, digest)
    raise ValueError


def is_prepared(folder: Path) -> bool:
    return (folder / INDEX).is_file()


def open_folder(spec: DatasetSpec, folder: Path) -> Dataset:
    """The dataset prepared in ``folder``, its images memory-mapped. Hashes nothing: see verify.py for that."""
    index = read_index(folder)
    splits = {name: _open_split(folder, name, record) for name, record in index.splits.items()}
    return Dataset(spec, splits.get("train"), splits.get("val"), splits.get("test"), index.notes)


def _open_split(folder: Path, name: SplitName, record: SplitRecord) -> Split:
    images = _load(folder / f"{name}_images.npy", (record.images, *record.image_shape), np.uint8)
    labels = np.array(_load(folder / f"{name}_labels.npy", (record.images,), np.int64))
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(record.classes):
        raise DataError(
            f"{folder / f'{name}_labels.npy'} has labels from {labels.min()} to {labels.max()}, not 0 to "
            f"{len(record.classes) - 1} as {INDEX} says: prepare the dataset again with --replace"
        )
    labels.setflags(write=False)
    return Split(name, images, labels, tuple(class_record.name for class_record in record.classes), record.fingerprint)


def _load(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The array, memory-mapped, so that a header which declares more than the file holds asks for no memory."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy raises what it likes on damaged headers
        reason = error.strerror if isinstance(error, OSError) and error.strerror else shown(str(error))
        raise DataError(f"{path} cannot be read ({reason}): prepare the dataset again with --replace") from None
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path} holds {shown(str(array.dtype))} {shown_shape(array.shape)}, not {np.dtype(dtype)} "
            f"{shown_shape(shape)} as {INDEX} says: prepare the dataset again with --replace"
        )
    return array


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


def write_split(
    folder: Path,
    name: SplitName,
    class_names: Sequence[str],
    labels: np.ndarray,
    digests: np.ndarray,
    blocks: Iterable[np.ndarray],
    image_shape: tuple[int, int, int],
) -> SplitRecord:
    """Write a split's images, which come in canonical order, and return its record.

    Args:
        labels: (N,) int64, ascending, 0..n_classes-1.
        digests: (N, 32) uint8, the digest of each image, ascending within a class.
        blocks: uint8 arrays (any, H, W, C), N images in all.
    """
    with (folder / f"{name}_images.npy").open("wb") as file:
        shape = (len(labels), *image_shape)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)
        _flush(file)
    with (folder / f"{name}_labels.npy").open("wb") as file:
        np.save(file, labels.astype(np.int64), allow_pickle=False)
        _flush(file)
    bounds = np.searchsorted(labels, np.arange(len(class_names) + 1))
    classes = tuple(
        ClassRecord(class_name, int(end - start), class_digest(digests[start:end]))
        for class_name, (start, end) in zip(class_names, itertools.pairwise(bounds), strict=True)
    )
    listed = [(class_record.name, class_record.images, class_record.sha256) for class_record in classes]
    return SplitRecord(image_shape, classes, split_fingerprint(image_shape, listed))


def write_index(folder: Path, index: Index) -> None:
    splits = {
        name: asdict(record)
        | {
            "classes": [
                [class_record.name, class_record.images, class_record.sha256] for class_record in record.classes
            ]
        }
        for name, record in index.splits.items()
    }
    raw = {"format": FORMAT, "name": index.name, "splits": splits, "notes": index.notes, "origin": index.origin}
    write_json(folder / INDEX, raw)


def build(
    root: Path,
    name: str,
    write: Callable[[Path], None],
    *,
    replace: bool = False,
    waiting: Callable[[], None] | None = None,
) -> Path:
    """The folder ``root/name``, filled by ``write(folder)`` unless it is there already; whole or absent at any time.

    One process at a time: a second one waits, after calling ``waiting()``. What a killed one left is removed.
    Raises DataError where ``root`` cannot be written.
    """
    place, target, old = root / f".{name}.preparing", root / name, root / f".{name}.old"
    if is_prepared(target) and not (replace or place.exists() or old.exists()):
        return target
    with locked(root, name, waiting):
        _recover(place, target, old)
        if is_prepared(target) and not replace:
            return target
        try:
            place.mkdir()
            write(place)
            sync_folder(place)
            if target.exists():
                target.rename(old)
            place.rename(target)
            sync_folder(root)
        except OSError as error:
            free = f" ({in_bytes(shutil.disk_usage(root).free)} are free)" if error.errno in NO_ROOM else ""
            reason = f"{error.strerror or error}{free}"
            raise DataError(f"{target} cannot be written: {reason}; nothing is left of it") from None
        except CannotWrite as error:
            raise DataError(f"{error}; nothing is left of {target}") from None
        finally:
            _recover(place, target, old)
    return target


@contextlib.contextmanager
def locked(root: Path, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Inside, no other process is here under this ``name``. Raises DataError where ``root`` cannot be written."""
    import filelock

    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / f".{name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if waiting is not None:
                waiting()
            lock.acquire()
    except OSError as error:
        raise DataError(
            f"{root} cannot be written ({error.strerror}): choose another folder, with --data-root or $HARNESS_DATA "
            "for prepared data, with $HARNESS_CACHE for what is rendered"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _recover(place: Path, target: Path, old: Path) -> None:
    """Undo what an interrupted preparation left: half-written files, and an old dataset set aside."""
    if old.exists() and not target.exists():
        old.rename(target)
    for leftover in (place, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())

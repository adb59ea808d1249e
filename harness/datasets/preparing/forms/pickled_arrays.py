"""Pickles that hold images as arrays: CIFAR-100's own files, those of MetaOptNet and RFS, and Ren's of miniImageNet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.bounds import MOST_VALUES
from harness.common.errors import DataError
from harness.common.text import shown
from harness.contract.data import SplitName
from harness.datasets.preparing.classes import SPLITS
from harness.datasets.preparing.forms import Form, FormRequest, Item, Reading
from harness.datasets.preparing.sources.files import File, view
from harness.datasets.preparing.sources.unpickle import load

if TYPE_CHECKING:
    from harness.datasets.preparing.sources.archives import Source

MOST_CLASSES = 100_000
LONGEST_NAME = 1_000  # characters


def cifar100_python(source: Source, request: FormRequest) -> Reading | None:
    """The official CIFAR-100: ``train``, ``test`` and ``meta``, pickled. The class list splits its 100 classes."""
    folders = {name.rpartition("/")[0] for name in source.named("meta")}
    for folder in sorted(folders):
        at = f"{folder}/" if folder else ""
        parts = [source.files[at + part] for part in ("train", "test") if at + part in source.files]
        if parts:
            meta = load_dict(source.files[at + "meta"], request)
            listed = get(meta, "fine_label_names", list, source.files[at + "meta"])
            names = class_names(listed, "fine_label_names", source.files[at + "meta"])
            tables = [_cifar_table(part, names, request) for part in parts]
            total = sum(len(images) for _, images, _ in tables)
            return Reading("CIFAR-100 python pickles", total, _rows(tables), arrays=True)
    return None


def split_pickles(title: str, patterns: Sequence[str], data: str = "data") -> Form:
    """The form ``title``: a pickle a split, a dict of ``data`` uint8 (N, H, W, C) and ``labels`` or ``class_dict``.

    Args:
        patterns: the files' names with ``{}`` for the split; the first pattern that any file has is taken.
    """

    def recognise(source: Source, request: FormRequest) -> Reading | None:
        for pattern in patterns:
            files = {split: _file_of_split(source, pattern, split) for split in SPLITS}
            split_files = {split: file for split, file in files.items() if file is not None}
            if split_files:
                tables = [_split_table(split, file, data, request) for split, file in split_files.items()]
                total = sum(len(images) for _, images, _ in tables)
                return Reading(title, total, _rows(tables), arrays=True)
        return None

    return recognise


Table = tuple[
    SplitName | None, Sequence[np.ndarray], Sequence[str | int]
]  # split, images (N, H, W, C), the class of each


def load_dict(file: File, request: FormRequest) -> dict[str, Any]:
    """The dict in a pickle, its keys as text. Raises DataError where it holds anything else."""
    loaded = load(view(file, request.scratch), file.name, request.scratch)
    if not isinstance(loaded, dict):
        raise DataError(f"{file.name}: holds {shown(loaded)}, not a dict: is this the right file?")
    return {text(key): value for key, value in loaded.items()}


def get(loaded: dict[str, Any], key: str, kind: type | tuple[type, ...], file: File) -> Any:
    if key not in loaded:
        there = ", ".join(map(shown, list(loaded)[:8])) or "nothing"
        raise DataError(f"{file.name}: has no {key!r}, only {there}: is this the right file?")
    if not isinstance(loaded[key], kind):
        raise DataError(f"{file.name}: its {key!r} is {shown(loaded[key])}: is this the right file?")
    return loaded[key]


def text(value: Any) -> str:
    return bytes(value).decode("latin1") if isinstance(value, bytes | memoryview) else str(value)


def class_names(values: Any, what: str, file: File) -> list[str]:
    """Names of classes as text. Raises DataError where there are far too many, or one is no string or very long."""
    for value in values if len(values) <= MOST_CLASSES else [None]:
        if not isinstance(value, str | bytes) or len(value) > LONGEST_NAME:
            raise DataError(
                f"{file.name}: its {what!r} are no names of classes ({shown(value)}): is this the right file?"
            )
    return [text(value) for value in values]


def integers(values: Any, what: str, file: File) -> np.ndarray:
    """(N,) int64 from a list or array of labels. Raises DataError where they are no whole numbers."""
    try:
        plain = isinstance(values, np.ndarray) or all(isinstance(value, int | np.integer) for value in values)
        if not plain or not 0 < len(values) <= MOST_VALUES:
            raise ValueError
        labels = np.asarray(values)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError
        return labels.astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{file.name}: its {what!r} are no list of whole numbers: is this the right file?") from None


def check_images(images: Any, request: FormRequest, file: File) -> Sequence[np.ndarray]:
    """``images`` as N arrays (H, W, C) uint8. Raises DataError where they are of another kind or size."""
    expected = (request.image_size, request.image_size, request.channels)
    if isinstance(images, list) and images:
        odd = next((row for row in images if _layout(row) != ("uint8", expected)), None)
        if odd is None and len(images) * math.prod(expected) <= file.size:
            return images
    else:
        odd = images
        dtype, shape = _layout(images)
        if dtype == "uint8" and shape[1:] == expected:
            return images
    told = "repeated" if odd is None else f"{odd.dtype} {odd.shape}" if isinstance(odd, np.ndarray) else shown(odd)
    raise DataError(f"{file.name}: its images are {told}, {request.dataset} has uint8 (N, {expected})")


def _layout(value: Any) -> tuple[str, tuple[int, ...]]:
    return (value.dtype.name, value.shape) if isinstance(value, np.ndarray) else ("", ())


def _file_of_split(source: Source, pattern: str, split: SplitName) -> File | None:
    words = {"train": ("train", "train_phase_train"), "val": ("val", "validation"), "test": ("test",)}[split]
    matches = source.named(*(pattern.format(word) for word in words))
    if len(matches) > 1:
        raise DataError(f"{source.path}: holds {' and '.join(sorted(matches))}: give the folder of the one you mean")
    return next(iter(matches.values()), None)


def _cifar_table(file: File, names: list[str], request: FormRequest) -> Table:
    loaded = load_dict(file, request)
    flat = get(loaded, "data", np.ndarray, file)
    labels = integers(get(loaded, "fine_labels", (list, np.ndarray), file), "fine_labels", file)
    if flat.dtype != np.uint8 or flat.shape != (len(labels), 3072):
        raise DataError(f"{file.name}: its data are {flat.dtype} {flat.shape}, not uint8 ({len(labels)}, 3072)")
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{file.name}: has labels outside 0..{len(names) - 1}, the classes that meta names")
    images = flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return None, images, [names[label] for label in labels]


def _split_table(split: SplitName, file: File, data: str, request: FormRequest) -> Table:
    loaded = load_dict(file, request)
    images = check_images(get(loaded, data, (np.ndarray, list), file), request, file)
    if "class_dict" in loaded:
        return split, images, _from_class_dict(get(loaded, "class_dict", dict, file), len(images), file)
    labels = integers(get(loaded, "labels", (list, np.ndarray), file), "labels", file)
    if len(labels) != len(images):
        raise DataError(f"{file.name}: {len(images):,} images but {len(labels):,} labels: download it again")
    numbers = loaded.get("catname2label")  # some copies name their numbers
    if isinstance(numbers, dict) and all(isinstance(number, int | np.integer) for number in numbers.values()):
        names = {int(number): text(name) for name, number in numbers.items()}
        if not set(labels.tolist()) <= set(names):
            return split, images, labels.tolist()
        return split, images, [names[label] for label in labels.tolist()]
    return split, images, labels.tolist()


def _from_class_dict(classes: dict[Any, Any], count: int, file: File) -> list[str | int]:
    keys: list[str | int] = [-1] * count
    for name, places in classes.items():
        for place in integers(places, f"class_dict[{shown(name)}]", file).tolist():
            if not 0 <= place < count or keys[place] != -1:
                raise DataError(f"{file.name}: its class_dict gives image {place} twice, or there is no such image")
            keys[place] = text(name)
    if -1 in keys:
        raise DataError(f"{file.name}: its class_dict says nothing of image {keys.index(-1)}")
    return keys


def _rows(tables: list[Table]) -> Iterator[Item]:
    for split, images, keys in tables:
        for row, key in zip(images, keys, strict=True):
            yield Item(split, key, row, f"image of class {key}")

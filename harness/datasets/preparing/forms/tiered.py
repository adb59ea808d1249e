"""tieredImageNet as Ren et al. and learn2learn ship it (PNG bytes in a pickle) and as RFS does (an .npz)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.datasets.preparing.classes import SPLITS
from harness.datasets.preparing.forms import FormRequest, Item, Reading
from harness.datasets.preparing.forms.pickled_arrays import class_names, get, integers, load_dict
from harness.datasets.preparing.sources.files import File, read, view
from harness.datasets.preparing.sources.npy import Rows, open_npz
from harness.datasets.preparing.sources.unpickle import images

if TYPE_CHECKING:
    from harness.contract.data import SplitName
    from harness.datasets.preparing.sources.archives import Source

LONGEST_LIST = 1 << 20  # bytes of synsets.txt and class_names.txt


def png_pickles(source: Source, request: FormRequest) -> Reading | None:
    """``{split}_images_png.pkl``, a list of PNG files, with ``{split}_labels.pkl``. Read without loading the list."""
    tables = {}
    for split in SPLITS:
        pair = _pair(source, split, "_images_png.pkl")
        if pair is not None:
            tables[split] = (pair[0], _keys(split, pair[1], source, request))
    if not tables:
        return None
    return Reading(
        "PNG images in pickles, as Ren et al. and learn2learn ship tieredImageNet",
        sum(len(keys) for _, keys in tables.values()),
        _png_items(tables, request),
    )


def npz_arrays(source: Source, request: FormRequest) -> Reading | None:
    """``{split}_images.npz`` with the array ``images``, and ``{split}_labels.pkl`` with ``labels``."""
    tables: dict[SplitName, tuple[Rows, list[str | int]]] = {}
    for split in SPLITS:
        pair = _pair(source, split, "_images.npz")
        if pair is not None:
            rows, keys = open_npz(pair[0], "images", request.scratch), _keys(split, pair[1], source, request)
            expected = (len(keys), request.image_size, request.image_size, request.channels)
            if rows.shape != expected:
                raise DataError(f"{pair[0].name}: its images are {rows.shape}, its labels ask for {expected}")
            tables[split] = (rows, keys)
    if not tables:
        return None
    return Reading(
        "images in .npz files, as RFS uses tieredImageNet",
        sum(len(keys) for _, keys in tables.values()),
        _npz_items(tables),
        arrays=True,
    )


def _pair(source: Source, split: SplitName, ending: str) -> tuple[File, File] | None:
    """The images and the labels of a split, with whatever stands before their names (Zenodo's have a prefix)."""
    for name, file in source.files.items():
        if name.rpartition("/")[2].removeprefix("tiered-imagenet-") == split + ending:
            labels = source.files.get(name.removesuffix(ending) + "_labels.pkl")
            if labels is None:
                raise DataError(f"{file.name}: {split}_labels.pkl is missing beside it: fetch it from the same place")
            return file, labels
    return None


def _keys(split: SplitName, file: File, source: Source, request: FormRequest) -> list[str | int]:
    """The class of each image: a synset where the source tells it, else a number."""
    loaded = load_dict(file, request)
    name = "label_specific" if "label_specific" in loaded else "labels"
    labels = integers(get(loaded, name, (list, np.ndarray), file), name, file)
    if "label_specific_str" not in loaded:
        return labels.tolist()
    titles = class_names(get(loaded, "label_specific_str", list, file), "label_specific_str", file)
    if labels.min() < 0 or labels.max() >= len(titles):
        raise DataError(f"{file.name}: has labels outside 0..{len(titles) - 1}, the classes that it names")
    synsets = _synsets(source)
    names = []
    for title in titles:
        candidates = [request.classes.named(synset) for synset in synsets.get(title, [])]
        in_split = [candidate for candidate in candidates if candidate is not None and candidate.split == split]
        listed = in_split[0] if len(in_split) == 1 else request.classes.titled(title, split)
        names.append(title if listed is None else listed.name)
    return [names[label] for label in labels.tolist()]


def _synsets(source: Source) -> dict[str, list[str]]:
    """Class title to synsets, from synsets.txt and class_names.txt, which list the same classes line by line."""
    texts = []
    for ending in ("class_names.txt", "synsets.txt"):
        files = [file for name, file in source.files.items() if name.endswith(ending)]
        texts.append(read(files[0], LONGEST_LIST).decode("utf-8", "replace").splitlines() if len(files) == 1 else [])
    titles: dict[str, list[str]] = {}
    for title, synset in zip(*texts, strict=False):
        titles.setdefault(title.strip(), []).append(synset.strip())
    return titles


def _png_items(tables: dict[SplitName, tuple[File, list[str | int]]], request: FormRequest) -> Iterator[Item]:
    for split, (file, keys) in tables.items():
        count = 0
        for data in images(view(file, request.scratch), file.name):
            if count == len(keys):
                raise DataError(f"{file.name}: more images than the {len(keys):,} labels beside it")
            yield Item(split, keys[count], data, f"{file.name}[{count}]")
            count += 1
        if count < len(keys):
            raise DataError(f"{file.name}: {count:,} images but {len(keys):,} labels: download it again")


def _npz_items(tables: dict[SplitName, tuple[Rows, list[str | int]]]) -> Iterator[Item]:
    for split, (rows, keys) in tables.items():
        count = 0
        for block in rows.blocks():
            for row in block:
                yield Item(split, keys[count], row, f"{rows.file.name}[{count}]")
                count += 1

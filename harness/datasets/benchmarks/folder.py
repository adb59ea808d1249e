"""``folder:PATH``: anyone's own images, a folder a class.

    PATH/train/cat/*.jpg  PATH/val/…  PATH/test/…      three folders of classes; test/ alone is enough to score a run
    PATH/cat/*.jpg  PATH/classes.csv                   or folders of classes and a table ``split,class``
    PATH/cat/*.jpg                                     or folders of classes alone, split by ``--split 60/20/20``

PATH may be a zip or a tar of the same. Images of any size and colour become RGB at ``--image-size`` (84) pixels; they
are prepared into the cache when first used, and again when the files change.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import DataError
from harness.common.text import shown
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, SplitName

if TYPE_CHECKING:
    from harness.datasets.preparing.classes import ClassList
    from harness.datasets.preparing.forms import Reading
    from harness.datasets.preparing.sources.archives import Source
    from harness.datasets.preparing.sources.files import File

SIZE = 84  # pixels, where --image-size is not given
SIZES = (8, 1024)  # pixels; what is sensible
TOP_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}

Place = tuple[str, str]  # a class folder: the folder above it, its name

log = logging.getLogger("harness")


def _open(request: DataRequest) -> Dataset:
    import tempfile

    from harness.datasets.prepared import store
    from harness.datasets.prepared.locations import cache_root
    from harness.datasets.preparing.sources.archives import open_source

    path = Path(request.argument or "").expanduser()
    size = SIZE if request.image_size is None else request.image_size
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"--image-size {size}: give a number of pixels from {SIZES[0]} to {SIZES[1]}")
    spec = replace(FOLDER, name=f"folder:{path.name}", title=f"the images in {path}", image_size=size)
    with tempfile.TemporaryDirectory(prefix="harness-") as scratch:
        source = open_source(path, Path(scratch))
        name = _cache_name(source, size, request)

        def write(folder: Path) -> None:
            _write(spec, source, folder, request)

        return store.open_folder(spec, store.build(cache_root(), name, write))


def _cache_name(source: Source, size: int, request: DataRequest) -> str:
    """Changes with what is asked for and with the files: their names, sizes and times of change."""
    import hashlib
    import os

    asked = (size, request.split, request.split_seed if request.split else 0, request.skip_damaged)
    parts = [f"2 {source.path.resolve()} {asked}"]
    parts += [f"{name} {file.size} {os.stat(file.path).st_mtime_ns}" for name, file in sorted(source.files.items())]
    return f"folder-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


def _write(spec: DatasetSpec, source: Source, folder: Path, request: DataRequest) -> None:
    import tempfile

    from harness.datasets.prepared import store
    from harness.datasets.preparing.matching import match
    from harness.datasets.preparing.prepare import left_out, write_splits
    from harness.datasets.preparing.spool import Handling, Spool

    classes, reading = _read(source, request)
    log.warning("preparing the %s images of %s", f"{reading.images:,}", source.path)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as scratch:
        spool = Spool(Path(scratch), spec.image_size, spec.channels)
        spool.fill(reading, handling=Handling(skip_damaged=request.skip_damaged))
        splits = write_splits(folder, spool, match(spool, classes, spec.name), classes)
    notes = (*reading.notes, *left_out(spool))
    origin = {"source": str(source.path.resolve()), "form": reading.form}
    store.write_index(folder, store.Index(spec.name, splits, notes, origin))
    for note in notes:
        log.warning("%s: %s", source.path, note)


def _read(source: Source, request: DataRequest) -> tuple[ClassList, Reading]:
    """The classes with their splits, and all images."""
    from harness.datasets.preparing.classes import ClassList, ListedClass
    from harness.datasets.preparing.forms import Item, Reading
    from harness.datasets.preparing.forms.class_folders import files_left_out, places_of_images
    from harness.datasets.preparing.random_split import describe, parse_shares, split_at_random

    places = places_of_images(source, 1)
    split_of = _given_splits(source, places)
    notes = []
    if request.split is not None:
        if split_of:
            raise DataError(
                f"{source.path}: has splits of its own, {_summary(split_of)}: drop --split {request.split}, or the "
                "folders and tables that make them"
            )
        classes = _flat_classes(places)
        chosen = split_at_random((name for _, name in classes), parse_shares(request.split), request.split_seed)
        split_of = {(parent, name): chosen[name] for parent, name in classes}
        notes.append(describe(chosen, request.split, request.split_seed))
    if not split_of:
        raise DataError(f"{source.path}: {_how_to_split(source, places)}")
    unlisted = {place: len(files) for place, files in places.items() if place not in split_of}
    if unlisted:
        first = "/".join(filter(None, next(iter(unlisted))))
        log.warning(
            "%s: %s images in %s folders of no split are left out, %s first",
            source.path,
            f"{sum(unlisted.values()):,}",
            len(unlisted),
            first,
        )
    if bare := _without_images(source, places):
        log.warning(
            "%s: %s class folders hold no image that can be read and are left out, %s first",
            source.path,
            len(bare),
            bare[0],
        )
    empty = {(folder.rpartition("/")[0], folder.rpartition("/")[2]) for folder in bare}
    others = files_left_out(source, 1, split_of.keys() | empty)
    listed = ClassList(ListedClass(split, name) for (_, name), split in split_of.items())
    items = (Item(split, place[1], file, file.name) for place, split in split_of.items() for file in places[place])
    count = sum(len(places[place]) for place in split_of)
    return listed, Reading("a folder of images a class", count, items, resize=True, notes=(*notes, *others))


def _given_splits(source: Source, places: Mapping[Place, list[File]]) -> dict[Place, SplitName]:
    """The class folders that a table, or a folder above them, puts into a split; none where there is no split.

    Raises DataError where a class is there twice, or one of the table is not there.
    """
    table = _table(source)
    split_of: dict[Place, SplitName] = {}
    names: set[str] = set()
    for parent, name in sorted(places):
        split = table.get(name) if table else TOP_FOLDERS.get(parent.rpartition("/")[2].lower())
        if split is None:
            continue
        if name in names:
            raise DataError(f"{source.path}: the class {shown(name)} is there twice; a class may be in one split only")
        names.add(name)
        split_of[parent, name] = split
    absent = sorted(set(table) - names)
    if absent:
        raise DataError(
            f"{source.path}: no folder of images for {len(absent)} classes of its table, {shown(absent[0])} first"
        )
    return split_of


def _flat_classes(places: Mapping[Place, list[File]]) -> list[Place]:
    """The folders of images that stand beside most others: the classes of a source without splits."""
    beside = Counter(parent for parent, _ in places)
    most = max(beside.values(), default=0)
    parent = min((parent for parent, number in beside.items() if number == most), default="")
    return sorted(place for place in places if place[0] == parent)


def _how_to_split(source: Source, places: Mapping[Place, list[File]]) -> str:
    """What to do with a source without splits."""
    classes = _flat_classes(places)
    arranged = "train/, val/ and test/ (test/ alone is enough to score a trained run)"
    if len(classes) < 2:
        return (
            f"no folder of images a class under train/, val/ or test/, and no table 'split,class' that names such "
            f"folders: arrange the images so, a folder a class under {arranged}"
        )
    names = [name for _, name in classes[:3]]
    return (
        f"{len(classes)} folders of images, {', '.join(names)}{', …' if len(classes) > 3 else ''}, in no split: "
        f"split the classes at random with --split 60/20/20 (base/validation/novel), put the folders under {arranged}, "
        "or list them in a table 'split,class'"
    )


def _summary(split_of: Mapping[Place, SplitName]) -> str:
    """``train/cat first``."""
    (parent, name), split = next(iter(split_of.items()))
    return f"{name!r} in {split!r} first" if not parent else f"{parent}/{name} in {split!r} first"


def _without_images(source: Source, places: Collection[tuple[str, str]]) -> list[str]:
    """Folders beside those of ``places`` that stand for a class and have no image: empty, or of other files."""
    folders = {name.rpartition("/")[0] for name in source.files}
    if source.path.is_dir():
        folders |= {path.relative_to(source.path).as_posix() for path in source.path.rglob("*") if path.is_dir()}
    beside = {parent for parent, _ in places}
    named = sorted((folder.rpartition("/")[0], folder.rpartition("/")[2]) for folder in folders if folder)
    return [
        "/".join(filter(None, (parent, name)))
        for parent, name in named
        if parent in beside and (parent, name) not in places and (parent or name.lower() not in TOP_FOLDERS)
    ]


def _table(source: Source) -> dict[str, SplitName]:
    """Class → split from a CSV at the top with the columns ``split`` and ``class``; empty where there is none."""
    from harness.datasets.preparing.sources.tables import read_table

    table: dict[str, SplitName] = {}
    for name, file in source.files.items():
        if "/" in name or not name.lower().endswith(".csv"):
            continue
        for word, label in read_table(file, "split", "class") or ():
            split, label = TOP_FOLDERS.get(word.strip().lower()), label.strip()
            if split is None or table.get(label, split) != split:
                raise DataError(
                    f"{file.name}: puts the class {shown(label)} in {shown(word)}: use train, val or test, once a class"
                )
            table[label] = split
    return table


FOLDER = DatasetSpec(
    name="folder",
    title="your own images, a folder a class: folder:PATH, with train/, val/, test/, a table or --split 60/20/20",
    image_size=SIZE,
    open=_open,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    augmentation=Augmentation(crop_padding=8, jitter=0.4, flip=True),
    licence="yours",
    citation="yours",
    obtain="your own images, a folder a class: docs/datasets.md",
    takes_argument=True,
)

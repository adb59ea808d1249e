"""``folder:PATH``: anyone's own images, a folder a class.

    PATH/train/cat/*.jpg  PATH/val/…  PATH/test/…      three folders of classes; test/ alone is enough to score a run
    PATH/cat/*.jpg  PATH/classes.csv                   or folders of classes and a table ``split,class``

PATH may be a zip or a tar of the same. Images of any size and colour become RGB at ``--image-size`` (84) pixels; they
are prepared into the cache when first used, and again when the files change.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import DataError
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
        name = _cache_name(source, size)

        def write(folder: Path) -> None:
            _write(spec, source, folder)

        return store.open_folder(spec, store.build(cache_root(), name, write))


def _cache_name(source: Source, size: int) -> str:
    """Changes with the files: their names, sizes and times of change."""
    import hashlib
    import os

    parts = [f"1 {source.path.resolve()} {size}"]
    parts += [f"{name} {file.size} {os.stat(file.path).st_mtime_ns}" for name, file in sorted(source.files.items())]
    return f"folder-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


def _write(spec: DatasetSpec, source: Source, folder: Path) -> None:
    import tempfile

    from harness.datasets.prepared import store
    from harness.datasets.preparing.matching import match
    from harness.datasets.preparing.prepare import write_splits
    from harness.datasets.preparing.spool import Spool

    classes, reading = _read(source)
    log.warning("preparing the %s images of %s", f"{reading.images:,}", source.path)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as scratch:
        spool = Spool(Path(scratch), spec.image_size, spec.channels)
        spool.fill(reading)
        splits = write_splits(folder, spool, match(spool, classes, spec.name), classes)
    origin = {"source": str(source.path.resolve()), "form": reading.form}
    store.write_index(folder, store.Index(spec.name, splits, origin=origin))


def _read(source: Source) -> tuple[ClassList, Reading]:
    from harness.datasets.preparing.classes import ClassList, ListedClass
    from harness.datasets.preparing.forms import Item, Reading
    from harness.datasets.preparing.forms.class_folders import places_of_images

    places = places_of_images(source, 1)
    table = _table(source)
    found: dict[str, tuple[SplitName, list[File]]] = {}
    others: dict[str, int] = {}  # folder of images that is in no split → how many
    for (parent, name), files in sorted(places.items()):
        split = table.get(name) if table else TOP_FOLDERS.get(parent.rpartition("/")[2].lower())
        if split is None:
            others["/".join(filter(None, (parent, name)))] = len(files)
            continue
        if name in found:
            raise DataError(f"{source.path}: the class {name!r} is there twice; a class may be in one split only")
        found[name] = (split, files)
    absent = sorted(set(table) - set(found))
    if absent:
        raise DataError(
            f"{source.path}: no folder of images for {len(absent)} classes of its table, {absent[0]!r} first"
        )
    if not found:
        raise DataError(
            f"{source.path}: no folder of images a class under train/, val/ or test/, and no table 'split,class' that "
            "names such folders: arrange the images so; test/ alone is enough to score a trained run"
        )
    if others:
        first = next(iter(others))
        log.warning("%s: %s images in %s folders of no split are left out, %s first", source.path,
                    f"{sum(others.values()):,}", len(others), first)  # fmt: skip
    if bare := _without_images(source, places):
        log.warning("%s: %s class folders hold no image that can be read and are left out, %s first", source.path,
                    len(bare), bare[0])  # fmt: skip
    classes = ClassList(ListedClass(split, name) for name, (split, _) in found.items())
    items = (Item(split, name, file, file.name) for name, (split, files) in found.items() for file in files)
    count = sum(len(files) for _, files in found.values())
    return classes, Reading("a folder of images a class", count, items, resize=True)


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
    import csv

    from harness.datasets.preparing.sources.files import read

    table: dict[str, SplitName] = {}
    for name, file in source.files.items():
        if "/" in name or not name.lower().endswith(".csv"):
            continue
        try:
            lines = list(csv.DictReader(read(file).decode("utf-8-sig").splitlines()))
        except (UnicodeDecodeError, csv.Error):
            raise DataError(f"{file.name}: not a CSV table in UTF-8: save it again as one") from None
        for line in lines if lines and {"split", "class"} <= set(lines[0]) else ():
            split = TOP_FOLDERS.get((line["split"] or "").strip().lower())
            label = (line["class"] or "").strip()
            if split is None or table.get(label, split) != split:
                raise DataError(
                    f"{file.name}: puts the class {label!r} in {line['split']!r}: use train, val or test, once a class"
                )
            table[label] = split
    return table


FOLDER = DatasetSpec(
    name="folder",
    title="your own images: folder:PATH, with train/, val/, test/ or a table 'split,class', a folder a class",
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

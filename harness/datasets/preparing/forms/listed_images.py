"""A folder of images and a table a split: ``train.csv``, ``val.csv``, ``test.csv`` with ``filename,label``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.common.errors import DataError
from harness.common.text import shown
from harness.datasets.preparing.classes import SPLITS
from harness.datasets.preparing.forms import FormRequest, Item, Reading
from harness.datasets.preparing.sources.images import SUFFIXES
from harness.datasets.preparing.sources.tables import read_table

if TYPE_CHECKING:
    from harness.contract.data import SplitName
    from harness.datasets.preparing.sources.archives import Source
    from harness.datasets.preparing.sources.files import File


def listed_images(source: Source, request: FormRequest) -> Reading | None:
    """miniImageNet as Ravi and Larochelle publish it: file names in tables, images beside them."""
    tables: dict[SplitName, list[tuple[str, str]]] = {}
    for split in SPLITS:
        files = [file for name, file in source.files.items() if name.rpartition("/")[2] == f"{split}.csv"]
        rows = read_table(files[0], "filename", "label") if len(files) == 1 else None
        if rows:
            tables[split] = rows
    images = {name.rpartition("/")[2]: file for name, file in source.files.items() if name.lower().endswith(SUFFIXES)}
    if not tables or not images:
        return None
    listed = [filename for rows in tables.values() for filename, _ in rows]
    missing = [filename for filename in listed if filename not in images]
    if len(missing) == len(listed):
        raise DataError(
            f"{source.path}: none of the {len(listed):,} images that its tables list is there, {shown(listed[0])} for "
            "one: put the images in a folder beside the tables"
        )
    if len(set(listed)) < len(listed):
        raise DataError(f"{source.path}: its tables list an image twice: an image is in one class, and there once")
    remark = f"{len(missing):,} of the {len(listed):,} images that the tables list are missing"
    return Reading(
        "images listed in train.csv, val.csv and test.csv",
        len(listed) - len(missing),
        _items(tables, images),
        resize=True,
        remarks=(f"{remark}, {shown(missing[0])} first",) if missing else (),
    )


def _items(tables: dict[SplitName, list[tuple[str, str]]], images: dict[str, File]) -> Iterator[Item]:
    for split, rows in tables.items():
        for filename, label in rows:
            if filename in images:
                yield Item(split, label, images[filename], images[filename].name)

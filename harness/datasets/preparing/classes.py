"""Which classes a dataset has and which split each belongs to: the split is the truth that every source is held to."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.contract.data import SplitName

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
ROLES: dict[SplitName, str] = {"train": "base", "val": "validation", "test": "novel"}
FOLDER = Path(__file__).parent / "splits"


@dataclass(frozen=True, slots=True)
class ListedClass:
    """A class of a published split."""

    split: SplitName
    name: str  # the class's name in the harness: a synset, a folder, a word
    title: str = ""  # what people call it
    images: int | None = None  # as published; None where only the split's total is
    sha256: str = ""  # the digest of its images (fingerprints.py), where known: it recognises a class by its pixels


class ClassList:
    """The classes of a dataset in their published order, found by name, by title, or by pixels."""

    def __init__(self, classes: Iterable[ListedClass]) -> None:
        self.classes = tuple(classes)
        self._by_name = {listed_class.name: listed_class for listed_class in self.classes}
        self._by_spelling = _grouped(self.classes, lambda listed_class: listed_class.name)
        self._by_title = _grouped(self.classes, lambda listed_class: listed_class.title)
        self._by_digest = {listed_class.sha256: listed_class for listed_class in self.classes if listed_class.sha256}

    def of(self, split: SplitName) -> tuple[ListedClass, ...]:
        return tuple(listed_class for listed_class in self.classes if listed_class.split == split)

    def named(self, name: str) -> ListedClass | None:
        """The class of this name, or the only one of this name in other spelling: ``Maple tree`` for ``maple_tree``."""
        spelt = self._by_spelling.get(_plain(name), [])
        return self._by_name.get(name) or (spelt[0] if len(spelt) == 1 else None)

    def titled(self, title: str, split: SplitName) -> ListedClass | None:
        """The only class of this title in ``split``: two synsets are called crane."""
        here = [listed_class for listed_class in self._by_title.get(_plain(title), []) if listed_class.split == split]
        return here[0] if len(here) == 1 else None

    def with_digest(self, digest: str) -> ListedClass | None:
        return self._by_digest.get(digest)

    def by_number(self, split: SplitName, numbers: Sequence[int]) -> dict[int, ListedClass] | None:
        """Names for classes that a source only numbers, or None where the numbers fit no known numbering.

        In turn: places in the sorted list of the split's classes; places in the sorted list of all classes
        (CIFAR-100's own labels), where all lie in ``split``; one number a class of the split, in sorted order.
        """
        of_split = sorted(self.of(split), key=lambda listed_class: listed_class.name)
        for names in (of_split, sorted(self.classes, key=lambda listed_class: listed_class.name)):
            if min(numbers) >= 0 and max(numbers) < len(names):
                numbered = {number: names[number] for number in numbers}
                if all(listed_class.split == split for listed_class in numbered.values()):
                    return numbered
        return dict(zip(sorted(numbers), of_split, strict=True)) if len(numbers) == len(of_split) else None


@cache
def published(dataset: str, images: int | None = None, digests: str = "") -> ClassList:
    """The class list in splits/``dataset``.csv: its columns are ``split``, ``class_name`` and perhaps ``synset``.

    Args:
        images: how many images each class has, where all have as many.
        digests: another file there, ``class_name,sha256``.
    """
    known = {row["class_name"]: row["sha256"] for row in rows(digests)} if digests else {}
    return ClassList(_listed(row, images, known) for row in rows(dataset))


def titles(dataset: str) -> dict[str, str]:
    """Class name → what people call it, for datasets whose classes are synsets; empty for others."""
    if not (FOLDER / f"{dataset}.csv").is_file():
        return {}
    return {row["synset"]: row["class_name"] for row in rows(dataset) if row.get("synset")}


def _listed(row: dict[str, str], images: int | None, digests: dict[str, str]) -> ListedClass:
    name = row.get("synset") or row["class_name"]
    title = row["class_name"] if row.get("synset") else ""
    count = int(row["images"]) if row.get("images") else images
    return ListedClass(row["split"], name, title, count, digests.get(name, ""))  # type: ignore[arg-type]


def rows(name: str) -> list[dict[str, str]]:
    """The lines of splits/``name``.csv."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _grouped(classes: Iterable[ListedClass], word: Callable[[ListedClass], str]) -> dict[str, list[ListedClass]]:
    groups: dict[str, list[ListedClass]] = {}
    for listed_class in classes:
        if word(listed_class):
            groups.setdefault(_plain(word(listed_class)), []).append(listed_class)
    return groups


def _plain(name: str) -> str:
    """The letters and digits of a name: ``Maple tree`` and ``maple_tree`` are one."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()

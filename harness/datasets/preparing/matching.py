"""What a source held against what the split lists: which class is which, what is missing, what is too much."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.common.text import shown
from harness.datasets.prepared.fingerprints import canonical_order, class_digest
from harness.datasets.preparing.classes import ROLES, SPLITS, ClassList, ListedClass

if TYPE_CHECKING:
    from harness.contract.data import SplitName
    from harness.datasets.preparing.spool import Spool


@dataclass(frozen=True)
class Match:
    """A spool whose classes are known."""

    classes: dict[SplitName, list[ListedClass]]  # those that have images, in the list's order
    labels: np.ndarray  # (N,) int64 per image: the class's place in the list of all classes; -1: left out
    named_by: str  # "name", "pixels" or "number"


def match(spool: Spool, listed: ClassList, dataset: str) -> Match:
    """Raises DataError where a class is unknown, lies in another split than listed, or is there twice."""
    class_of_key, named_by = _identify(spool, listed, dataset)
    taken: dict[ListedClass, int] = {}
    for key, listed_class in enumerate(class_of_key):
        split, name = spool.keys[key]
        if split is not None and split != listed_class.split:
            raise DataError(
                f"the source has the class {listed_class.name!r} in {split!r}, {dataset} has it in "
                f"{listed_class.split!r}: this is another dataset, or another split of it"
            )
        if listed_class in taken:
            raise DataError(
                f"two classes of the source are {listed_class.name!r} of {dataset}: {shown(name)} is the second"
            )
        taken[listed_class] = key
    places = {listed_class: place for place, listed_class in enumerate(listed.classes)}
    label_of_key = np.array([places[listed_class] for listed_class in class_of_key], dtype=np.int64)
    classes = {split: [listed_class for listed_class in listed.of(split) if listed_class in taken] for split in SPLITS}
    return Match(
        {split: members for split, members in classes.items() if members}, label_of_key[spool.key_of], named_by
    )


def _identify(spool: Spool, listed: ClassList, dataset: str) -> tuple[list[ListedClass], str]:
    """The listed class of each key of the spool, and how they were told."""
    names = [key for key in spool.keys if isinstance(key[1], str)]
    if len(names) == len(spool.keys):
        listed_classes = [listed.named(str(key)) for _, key in spool.keys]
        unknown = [
            key for (_, key), listed_class in zip(spool.keys, listed_classes, strict=True) if listed_class is None
        ]
        if unknown:
            raise DataError(
                f"{len(unknown)} of the {len(listed_classes)} classes of the source are not in {dataset}, "
                f"{shown(unknown[0])} first: is this another dataset?"
            )
        return [listed_class for listed_class in listed_classes if listed_class is not None], "name"
    by_pixels = _identify_by_pixels(spool, listed)
    if by_pixels is not None:
        return by_pixels, "pixels"
    numbered: dict[tuple[SplitName | None, str | int], ListedClass] = {}
    for split in SPLITS:
        keys = [key for where, key in spool.keys if where == split]
        if any(isinstance(key, str) for key in keys):
            raise DataError(
                f"the source names the classes of {split!r}, {shown(keys[0])} first, and only numbers those of "
                "another: give all of them names, or none"
            )
        numbers = [int(key) for key in keys]
        names_of = listed.by_number(split, numbers) if numbers else {}
        if names_of is None:
            raise DataError(
                f"the source numbers {len(numbers)} classes in {split!r}, from {min(numbers)} to {max(numbers)}, and "
                f"{dataset} has {len(listed.of(split))} there: this is another dataset, or another split of it"
            )
        numbered |= {(split, number): listed_class for number, listed_class in names_of.items()}
    return [numbered[key] for key in spool.keys], "number"


def _identify_by_pixels(spool: Spool, listed: ClassList) -> list[ListedClass] | None:
    """The class of each key by the digest of its images, where every one is known."""
    order = canonical_order(spool.key_of, spool.digests)
    bounds = np.searchsorted(spool.key_of[order], np.arange(len(spool.keys) + 1))
    listed_classes = []
    for start, end in itertools.pairwise(bounds):
        listed_class = listed.with_digest(class_digest(spool.digests[order[start:end]]))
        if listed_class is None:
            return None
        listed_classes.append(listed_class)
    return listed_classes


def shortcomings(
    matched: Match, listed: ClassList, counts: Mapping[SplitName, tuple[int, int]]
) -> tuple[tuple[str, ...], list[str]]:
    """What every table must say of the data, and the details for the person who prepares them.

    Args:
        counts: split → (classes, images) as published; empty where nothing is published.
    """
    images = np.bincount(matched.labels, minlength=len(listed.classes))  # (n_classes,)
    partial, details = [], []
    for split in SPLITS:
        expected, there = listed.of(split), matched.classes.get(split, [])
        missing = [listed_class for listed_class in expected if listed_class not in set(there)]
        if missing:
            partial.append(f"{len(there)} of {len(expected)} {ROLES[split]} classes")
            details.append(f"{len(missing)} {ROLES[split]} classes are missing: {_list_first_three(missing)}")
    total = int(images.sum())
    published = sum(number for _, number in counts.values())
    odd = [
        (listed_class, int(n))
        for listed_class, n in zip(listed.classes, images, strict=True)
        if n and listed_class.images not in (None, n)
    ]
    for listed_class, number in odd[:3]:
        details.append(f"{listed_class.name} has {number} images, published are {listed_class.images}")
    if len(odd) > 3:
        details.append(f"{len(odd) - 3} more classes have another number of images than published")
    if published and total < published:
        partial.append(f"{total:,} of {published:,} images")
    notes = [f"partial data ({', '.join(partial)})"] if partial else []
    if published and (total > published or (odd and not partial)):
        notes.append(f"not the published images ({total:,} instead of {published:,})")
    return tuple(notes), details


def _list_first_three(classes: list[ListedClass]) -> str:
    names = [
        f"{listed_class.name} ({listed_class.title})" if listed_class.title else listed_class.name
        for listed_class in classes[:3]
    ]
    return ", ".join(names) + (f" and {len(classes) - 3} more" if len(classes) > 3 else "")

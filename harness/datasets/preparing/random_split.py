"""A split of classes that has none: shares of them at random, the same ones for a seed on every machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.common.errors import DataError
from harness.common.randomness import numpy_generator
from harness.datasets.preparing.classes import ROLES, SPLITS

if TYPE_CHECKING:
    from harness.contract.data import SplitName

Shares = tuple[int, int, int]  # of base, validation and novel classes; any sum


def parse_shares(text: str) -> Shares:
    """``60/20/20`` as numbers. Raises DataError where it is no such thing, or leaves no novel classes."""
    parts = text.split("/")
    if len(parts) != 3 or not all(re.fullmatch(r"\s*\d{1,4}\s*", part) for part in parts):
        raise DataError(f"--split {text}: give the shares of base, validation and novel classes, as 60/20/20")
    base, validation, novel = map(int, parts)
    if novel == 0:
        raise DataError(f"--split {text}: leaves no novel classes to score on: give them a share, as 60/20/20")
    return base, validation, novel


def split_at_random(names: Iterable[str], shares: Shares, seed: int) -> dict[str, SplitName]:
    """Each class's split. Depends on the set of names, the shares and the seed alone.

    The numbers of classes are the shares' in the nearest whole numbers (largest remainders), at least one where a share
    is above zero.

    Raises:
        DataError: there are fewer classes than shares.
    """
    ordered = sorted(set(names))
    counts = _counts(len(ordered), shares)
    shuffled = numpy_generator(seed, "split of classes").permutation(len(ordered))
    split_of: dict[str, SplitName] = {}
    start = 0
    for split, count in zip(SPLITS, counts, strict=True):
        split_of.update({ordered[place]: split for place in shuffled[start : start + count]})
        start += count
    return split_of


def _counts(n_classes: int, shares: Shares) -> list[int]:
    asked = sum(share > 0 for share in shares)
    if n_classes < asked:
        raise DataError(f"--split {'/'.join(map(str, shares))}: {n_classes} classes cannot be put into {asked} splits")
    exact = [n_classes * share / sum(shares) for share in shares]
    counts = [max(int(number), share > 0) for number, share in zip(exact, shares, strict=True)]
    while sum(counts) != n_classes:
        step = 1 if sum(counts) < n_classes else -1
        movable = [place for place in range(3) if shares[place] and counts[place] + step >= 1]
        nearest = max(movable, key=lambda place: step * (exact[place] - counts[place]))
        counts[nearest] += step
    return counts


def describe(split_of: dict[str, SplitName], shares: str, seed: int) -> str:
    """``classes split at random 60/20/20 (seed 0): 12 base, 4 validation, 4 novel``."""
    numbers = [(list(split_of.values()).count(split), ROLES[split]) for split in SPLITS]
    told = ", ".join(f"{number} {role}" for number, role in numbers if number)
    return f"classes split at random {shares} (seed {seed}): {told}"

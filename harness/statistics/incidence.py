"""Which classes an episode has, as a matrix, and what is computed of it alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import numpy as np

Made = TypeVar("Made")


def incidence(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """(E, n_classes) float64: 1 for each class (E, n_way) that an episode has.

    Where ways differ, rows of classes are filled up with -1, and a class counts 1 / way: an episode's accuracy is that
    of its classes on average, however many there are.
    """
    has = np.zeros((len(classes), n_classes + 1))
    np.put_along_axis(has, classes, 1.0, axis=1)  # -1 is the last column
    has = np.ascontiguousarray(has[:, :-1])
    return has / has.sum(axis=1, keepdims=True) if ways_differ(classes) else has


def ways_differ(classes: np.ndarray) -> bool:
    """Whether episodes have as many classes as each drew, rows (E, n_way) being filled up with -1."""
    return bool((classes < 0).any())


def kept_by_classes(make: Callable[[np.ndarray, int], Made]) -> Callable[[np.ndarray, int], Made]:
    """``make``, a function of classes (E, n_way) and of how many the split has, made once for the same episodes.

    A report asks for hundreds of rows, all on the same few sets of episodes.
    """

    @lru_cache(maxsize=8)
    def of_content(content: bytes, n_way: int, n_classes: int) -> Made:
        return make(np.frombuffer(content, np.int64).reshape(-1, n_way), n_classes)

    @wraps(make)
    def kept(classes: np.ndarray, n_classes: int) -> Made:
        return of_content(np.ascontiguousarray(classes, np.int64).tobytes(), classes.shape[1], n_classes)

    return kept

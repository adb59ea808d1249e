"""A regression of accuracies on the classes of their episodes: what is left is the scatter of new images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.statistics.incidence import incidence, kept_by_classes, ways_differ

LEAST_DF = 5  # with fewer left by the class effects, they are not taken out


@dataclass(frozen=True)
class ClassEffects:
    """A regression of accuracies on the classes of their episodes."""

    mean: float  # at equal shares of all classes
    variance: float  # of that mean, for new images of these classes
    residual_variance: float  # of an episode
    df: int
    adjusted: np.ndarray  # (E,) the values without class effects: same mean, and the scatter that episodes have


@dataclass(frozen=True)
class _Design:
    """What of a regression the episodes' classes decide."""

    matrix: np.ndarray  # (E, C)
    projection: np.ndarray  # (C, E), from values to coefficients
    share: np.ndarray  # (C,), of each class in the mean
    of_mean: float  # the mean's variance, in units of an episode's
    df: int


def class_effects(values: np.ndarray, classes: np.ndarray, n_classes: int) -> ClassEffects | None:
    """The regression of values (E,) on classes (E, n_way); None where too few episodes are left to judge it by.

    Every episode has the same weight in it, whatever its way.
    """
    design = _design(classes, n_classes)
    if design is None:
        return None
    coefficients = design.projection @ values  # (C,)
    residuals = values - design.matrix @ coefficients
    residual_variance = float((residuals**2).sum() / design.df)
    mean = float(design.share @ coefficients)
    adjusted = mean + residuals * math.sqrt(len(values) / design.df)  # what the fit took off the scatter is given back
    return ClassEffects(mean, residual_variance * design.of_mean, residual_variance, design.df, adjusted)


def variances_of_means(values: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray | None:
    """``variance`` of ``class_effects`` for each row of values (S, E): (S,), or None as there."""
    design = _design(classes, n_classes)
    if design is None:
        return None
    residuals = values - values @ design.projection.T @ design.matrix.T  # (S, E)
    return np.asarray((residuals**2).sum(axis=1) * (design.of_mean / design.df))


@kept_by_classes
def _design(classes: np.ndarray, n_classes: int) -> _Design | None:
    matrix = incidence(classes, n_classes)  # (E, C)
    n_episodes, n_way = classes.shape
    gram = matrix.T @ matrix
    df = n_episodes - int(np.linalg.matrix_rank(gram, hermitian=True))
    if df < LEAST_DF:
        return None
    inverse = np.linalg.pinv(gram, hermitian=True)
    share = np.full(n_classes, (1 if ways_differ(classes) else n_way) / n_classes)
    if not np.allclose(gram @ inverse @ share, share):
        return None  # some class was never met
    return _Design(matrix, inverse @ matrix.T, share, float(share @ inverse @ share), df)

"""Confidence intervals of an accuracy, one for each question that a reader may ask. docs/statistics.md explains them.

``closed``: the sampler's mean on this very test set. ``open``: new images of these classes, over episodes that share no
image. ``class``: new classes. Accuracies are fractions, E episodes, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from harness.statistics.behrens_fisher import Part, half_width, two_sided_p
from harness.statistics.class_effects import class_effects, variances_of_means
from harness.statistics.class_level import LEAST_EPISODES, class_level_model

LEVEL = 0.95
LEAST_SEEDS = 3  # with fewer, nothing is said about other seeds
LEAST_DF_ONCE = 40  # with fewer of episodes, what seeds do to single episodes is counted twice: docs/statistics.md
WEIGHTS_ONLY = "these weights, not these methods"


@dataclass(frozen=True)
class Interval:
    """A mean and how far the truth may be from it, at the level asked for (95 %). Fractions."""

    name: str  # which question it answers: closed, open, class
    mean: float
    standard_error: float  # infinite where nothing can be said
    df: float  # degrees of freedom of Student's t; over seeds, of the seeds' part
    level: float = LEVEL
    note: str = ""  # what a reader must know of it
    parts: tuple[Part, ...] = ()  # of the squared standard error, with their degrees of freedom; seeds first

    @cached_property
    def half_width(self) -> float:
        return half_width(self.parts, self.level) if math.isfinite(self.standard_error) else math.inf

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the null hypothesis that the true mean is 0: a paired t-test, of differences."""
        return two_sided_p(self.mean, self.parts) if math.isfinite(self.standard_error) else 1.0


def closed_interval(accuracies: np.ndarray, level: float = LEVEL) -> Interval:
    """Student's t over episodes (E,) drawn with replacement: what the literature prints."""
    values = checked(accuracies)
    return _student("closed", values.mean(), _standard_error(values), len(values) - 1, level)


def open_interval(accuracies: np.ndarray, classes: np.ndarray, n_classes: int, level: float = LEVEL) -> Interval:
    """Student's t over episodes (E,) that share no image, with the effects of their classes taken out.

    Accuracies are regressed on which classes (E, n_way) an episode has; the mean is the fitted one at equal shares of
    all ``n_classes``, its error comes from the residuals, df = E - rank. Where the episodes are too few for that, it is
    a plain t interval, which is too wide rather than too narrow.
    """
    values = checked(accuracies)
    effects = class_effects(values, classes, n_classes)
    if effects is None:
        note = "too few episodes to take class effects out, hence conservative"
        return _student("open", values.mean(), _standard_error(values), len(values) - 1, level, note)
    return _student("open", effects.mean, math.sqrt(effects.variance), effects.df, level)


def class_interval(accuracies: np.ndarray, classes: np.ndarray, n_classes: int, level: float = LEVEL) -> Interval:
    """Student's t over episodes (E,) as a claim about new classes: see ``ClassLevelModel``.

    Infinite under six episodes, and where every episode has every class.
    """
    values = checked(accuracies)
    error = class_level_model(classes, n_classes).error(values)
    if error is None:
        few = (
            f"fewer than {LEAST_EPISODES} episodes" if len(values) < LEAST_EPISODES else "every episode has all classes"
        )
        return _student("class", values.mean(), math.inf, 0, level, few)
    return _student("class", values.mean(), math.sqrt(error.variance), error.df, level)


INTERVALS: Mapping[str, Callable[..., Interval]] = {
    "closed": lambda accuracies, classes, n_classes, level=LEVEL: closed_interval(accuracies, level),
    "open": open_interval,
    "class": class_interval,
}


def interval(name: str, accuracies: np.ndarray, classes: np.ndarray, n_classes: int, level: float = LEVEL) -> Interval:
    """The interval ``name`` of accuracies (E,), or (S, E) over seeds that met the same episodes.

    Over three seeds or more, standard error² = s²_seed / S + what the mean accuracies owe to episodes alone, each with
    its own degrees of freedom (see behrens_fisher.py). Over fewer it says nothing of other seeds, and its note says so.

    Args:
        classes: (E, n_way), which classes an episode has.
        n_classes: how many the split has.
    """
    by_seed = np.atleast_2d(np.asarray(accuracies, dtype=np.float64))  # (S, E)
    over_episodes = INTERVALS[name](by_seed.mean(axis=0), classes, n_classes, level)
    n_seeds = len(by_seed)
    if n_seeds < LEAST_SEEDS:
        return replace(over_episodes, note="; ".join(filter(None, [WEIGHTS_ONLY, over_episodes.note])))
    if not math.isfinite(over_episodes.standard_error):
        return over_episodes
    of_seeds = float(by_seed.mean(axis=1).var(ddof=1)) / n_seeds
    of_episodes = over_episodes.standard_error**2
    if name != "class" and over_episodes.df >= LEAST_DF_ONCE:
        of_episodes = max(0.0, of_episodes - _single_episodes(name, by_seed, classes, n_classes))
    parts = ((of_seeds, n_seeds - 1), (of_episodes, over_episodes.df))
    return _with_error(name, over_episodes.mean, parts, level, over_episodes.note)


def _single_episodes(name: str, by_seed: np.ndarray, classes: np.ndarray, n_classes: int) -> float:
    """The variance that what seeds do to single episodes gives the mean of (S, E); it is in the seeds' means too."""
    n_seeds = len(by_seed)
    deviations = by_seed - by_seed.mean(axis=0)  # (S, E), each with 1 - 1/S of a seed's variance
    variances = variances_of_means(deviations, classes, n_classes) if name == "open" else None
    if variances is None:
        variances = deviations.var(axis=1, ddof=1) / deviations.shape[1]
    return float(variances.sum()) / (n_seeds * (n_seeds - 1))


def checked(accuracies: np.ndarray) -> np.ndarray:
    """Accuracies (E,) as float64.

    Raises:
        ValueError: there are none, they are not one-dimensional, or one is NaN or infinite.
    """
    values = np.asarray(accuracies, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"accuracies must be (E,) with at least one episode, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {len(values)} accuracies are NaN or infinite")
    return values


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def _student(name: str, mean: float, error: float, df: float, level: float, note: str = "") -> Interval:
    known = df > 0 and math.isfinite(error)
    return _with_error(name, mean, ((float(error) ** 2, float(df)),) if known else (), level, note, df)


def _with_error(
    name: str, mean: float, parts: tuple[Part, ...], level: float, note: str = "", df: float | None = None
) -> Interval:
    error = math.sqrt(sum(variance for variance, _ in parts)) if parts else math.inf
    return Interval(name, float(mean), error, float(parts[0][1] if df is None else df), level, note, parts)

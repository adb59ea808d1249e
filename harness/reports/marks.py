"""What marks a row that learned nothing: accuracy at chance, features that are all alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.reports.model import Mark, Measured, Setting
from harness.statistics.intervals import Interval, closed_interval, interval

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec

LEAST_SPREAD = 1e-4  # of features around their mean, in units of their length; a random ResNet-12 has 0.16 on glyphs
ROUNDING = 1e-9  # a mean of ties, each worth 1/n_way, is chance but for its last digits


def marks(measured: Mapping[Setting, Measured], seeds: Sequence[int]) -> tuple[Mark, ...]:
    """Why a row, or one of its seeds, seems to have learned nothing. Empty where it is above chance.

    A row is at chance in a setting where 1 / n_way lies in the closed 95 % interval of its mean, or above it.

    Args:
        measured: by setting; accuracies (S, E) in the order of ``seeds``.
    """
    closed = {spec: reached for (spec, target), reached in measured.items() if target == "closed"}
    of_features = _mark_alike_features(list(measured.values()), seeds)
    of_chance = (_mark_at_chance(spec, reached, seeds) for spec, reached in closed.items())
    return (*of_features, *(mark for mark in of_chance if mark is not None))


def _mark_alike_features(measured: Sequence[Measured], seeds: Sequence[int]) -> list[Mark]:
    alike = {
        seed: spread
        for reached in measured
        for seed, spread in zip(seeds, reached.feature_spreads, strict=True)
        if spread is not None and spread < LEAST_SPREAD
    }
    if not alike:
        return []
    largest = max(alike.values())
    size = f"they differ by {100 * largest:.1g} % of their length" if largest else "the same for every image"
    return [Mark("features", f"{_name_seeds(alike, seeds)}its features are all alike ({size})")]


def _mark_at_chance(spec: EpisodeSpec, measured: Measured, seeds: Sequence[int]) -> Mark | None:
    chance = spec.chance
    pooled = interval("closed", measured.accuracies, measured.classes, measured.n_classes)
    by_seed = dict(zip(seeds, map(closed_interval, measured.accuracies), strict=True))
    low = {seed: estimate for seed, estimate in by_seed.items() if _reaches_down_to(estimate, chance)}
    if low:
        worst = pooled if len(low) == len(seeds) else min(low.values(), key=lambda estimate: estimate.mean)
        where = f"{_name_seeds(low, seeds)}{'at' if worst.high >= chance - ROUNDING else 'below'} chance in {spec}"
    elif _reaches_down_to(pooled, chance):  # its seeds differ so much that their mean says nothing
        worst, where = pooled, f"chance lies within the interval in {spec}"
    else:
        return None
    shown = f"{100 * worst.mean:.2f} ± {100 * worst.half_width:.2f}"
    return Mark("chance", f"{where} ({shown}, chance {100 * chance:.2f})", spec)


def _reaches_down_to(estimate: Interval, chance: float) -> bool:
    return math.isfinite(estimate.half_width) and estimate.low <= chance + ROUNDING


def _name_seeds(subset: Mapping[int, object], seeds: Sequence[int]) -> str:
    """``seeds 1, 2: `` where it is not said of all."""
    if not subset or len(subset) == len(seeds):
        return ""
    return f"seed{'s' if len(subset) > 1 else ''} {', '.join(map(str, subset))}: "

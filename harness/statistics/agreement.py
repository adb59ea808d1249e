"""Is a number that somebody else measured, with one training seed, the same as ours?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.statistics.behrens_fisher import half_width
from harness.statistics.intervals import LEAST_SEEDS, LEVEL


def allowed_difference(
    by_seed: Sequence[float], error: float, other_error: float, level: float = LEVEL
) -> float | None:
    """How far the mean of ``by_seed`` and the other number may lie apart if both methods are equally good.

    Two truths that are equal are called different in at most 1 - ``level``. The other number is one seed's, so the
    seeds' variance of the difference is s²_seed · (1 + 1/S), known to S - 1 degrees of freedom; that of episodes is
    taken as known.

    Args:
        by_seed: our mean accuracy of each seed, fractions.
        error: standard error of their mean over episodes.
        other_error: standard error over episodes of the other number.
    Returns:
        a fraction; None with fewer than three seeds, which say nothing of other seeds.
    """
    n_seeds = len(by_seed)
    if n_seeds < LEAST_SEEDS:
        return None
    of_seeds = float(np.var(by_seed, ddof=1)) * (1 + 1 / n_seeds)
    return half_width(((of_seeds, n_seeds - 1), (error**2 + other_error**2, math.inf)), level)

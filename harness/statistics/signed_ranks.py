"""How probable is it that one method is better than another on the next dataset, or practically equal?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.common.randomness import numpy_generator

N_SAMPLES = 50_000
CHUNK = 5_000  # samples at a time
PRIOR_STRENGTH = 0.5  # of the pseudo-observation of no difference; each dataset has strength 1


@dataclass(frozen=True)
class Posterior:
    """Probabilities after the datasets seen; they add up to 1."""

    worse: float
    equal: float
    better: float


def bayesian_signed_ranks(differences: np.ndarray, margin: float) -> Posterior:
    """The probabilities that a method is worse, practically equal or better, from its differences (D,) to another.

    The unknown distribution of differences has a Dirichlet process as its prior, with one pseudo-observation of 0 of
    strength 0.5. Its posterior puts weights w ~ Dirichlet(0.5, 1, …, 1) on 0 and the differences; for each draw the
    mass of pairs wᵢ wⱼ is summed where (zᵢ + zⱼ) / 2 lies below -``margin``, within ± ``margin`` and above it. A
    relation is as probable as it is the largest of the three, over 50,000 draws of a fixed seed.

    Source: Benavoli, Corani, Demšar & Zaffalon 2017, "Time for a change: a tutorial for comparing multiple classifiers
        through Bayesian analysis", Journal of Machine Learning Research 18, section 4.2.
    Raises:
        ValueError: there are no differences, one is not finite, or the margin is not a number from 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"differences must be (D,), finite, at least one, not {values!r}")
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"the margin of equivalence is {margin}; it must be a number from 0")
    with_prior = np.concatenate([[0.0], values])
    halves = np.round((with_prior[:, None] + with_prior) / 2, 12)  # (D + 1, D + 1)
    below, above = (halves < -margin).astype(np.float64), (halves > margin).astype(np.float64)
    strengths = np.concatenate([[PRIOR_STRENGTH], np.ones(len(values))])
    generator = numpy_generator(0, "signed ranks")
    won = np.zeros(3)
    for _ in range(N_SAMPLES // CHUNK):
        weights = generator.dirichlet(strengths, CHUNK)  # (CHUNK, D + 1)
        worse = np.einsum("ci,ci->c", weights @ below, weights)
        better = np.einsum("ci,ci->c", weights @ above, weights)
        masses = np.stack([worse, 1 - worse - better, better])  # (3, CHUNK)
        largest = masses >= masses.max(axis=0) - 1e-12
        won += (largest / largest.sum(axis=0)).sum(axis=1)
    return Posterior(*(won / won.sum()).tolist())

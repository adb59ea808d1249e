"""The same question about seeds: accuracies of S seeds on E episodes, with a known mean over all seeds and episodes."""

from __future__ import annotations

import numpy as np

from harness.common.randomness import numpy_generator
from harness.statistics.intervals import interval

N_EPISODES = 148
OF_EPISODE, OF_SEED, OF_BOTH = 0.10, 0.005, 0.03  # standard deviations: an episode, a seed, a seed on one episode


def coverage(n_seeds: int, n_benchmarks: int) -> float:
    """How often the closed interval over seeds covers the mean of all seeds and episodes; a fraction."""
    random = numpy_generator(0, "seeds", n_seeds)
    covered = 0
    for _ in range(n_benchmarks):
        accuracies = (
            random.normal(0, OF_SEED, (n_seeds, 1))
            + random.normal(0, OF_EPISODE, (1, N_EPISODES))
            + random.normal(0, OF_BOTH, (n_seeds, N_EPISODES))
        )
        found = interval("closed", accuracies, np.empty((N_EPISODES, 0), int), 0)
        covered += abs(found.mean) <= found.half_width
    return covered / n_benchmarks

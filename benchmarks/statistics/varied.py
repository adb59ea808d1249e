"""Episodes whose way and shot are drawn: how often do paired tests on them reject a null hypothesis that is true?

    python benchmarks/statistics/varied.py [--worlds N] > varied-episodes.md

The worlds and methods are those of model.py: B is exactly as accurate as A on these classes, C on new ones, whatever
way and shot. Each test set is one simulated benchmark.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from model import N_CLASSES, PER_CLASS, SETTINGS, Setting, World, run
from threadpoolctl import threadpool_limits

from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.statistics.comparison import compare

SEED = 2
N_POOL = 10  # index sets of episodes, drawn once and used in turn
SHAPES = (
    EpisodeSpec(20, 10, 15, least_way=5, least_shot=1),
    EpisodeSpec(10, 5, 15, least_way=2, least_shot=1),
)
TESTS = ("paired t", "Wilcoxon", "new classes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1000)
    n_worlds = parser.parse_args().worlds
    torch.set_num_threads(1)
    print("# Paired tests on episodes of drawn way and shot\n\n" + __doc__.split("\n\n")[2].strip() + "\n")
    print(
        f"Rejections at 5 % of {n_worlds} true null hypotheses, in percent ± 95 %. A test set has {N_CLASSES} classes"
    )
    print(f"of {PER_CLASS} images; nearest class mean.\n")
    print("| open episodes | number | null | " + " | ".join(TESTS) + " |")
    print("|---|---|---|" + "---|" * len(TESTS))
    with threadpool_limits(1):
        for spec in SHAPES:
            pools = [sample_episodes(_split(), spec, 10**6, seed, "open") for seed in range(N_POOL)]
            p_values = np.array(list(_p_values(pools, n_worlds)))  # (n_worlds, 2, 3)
            for null, of_null in zip(("these classes", "new classes"), p_values.swapaxes(0, 1), strict=True):
                numbers = f"{min(map(len, pools))} to {max(map(len, pools))}"
                print(
                    f"| {spec} | {numbers} | {null} | " + " | ".join(map(_share, (of_null < 0.05).T)) + " |", flush=True
                )


def _split() -> Split:
    labels = np.repeat(np.arange(N_CLASSES), PER_CLASS)
    return Split("test", np.empty((len(labels), 0)), labels, tuple(map(str, range(N_CLASSES))), "simulated")


def _p_values(pools: list[Episodes], n_worlds: int) -> Iterator[list[list[float]]]:
    """Of each world, for B and for C against A: the p-values of ``TESTS``."""
    for number in range(n_worlds):
        features, episodes = World(SEED, number).test_set(), pools[number % N_POOL]
        a, *others = (_accuracies(features[name], episodes) for name in "ABC")
        rows = []
        for other in others:
            comparison = compare(other, a, episodes.classes, N_CLASSES, "open")
            assert comparison.new_classes is not None
            rows.append([comparison.t_p, comparison.wilcoxon_p, comparison.new_classes.p_value])
        yield rows


def _accuracies(features: torch.Tensor, episodes: Episodes) -> np.ndarray:
    values = np.empty(len(episodes))
    for which, part in episodes.parts():
        setting = Setting("", SETTINGS[0].classifier, part.spec.k_shot, 1, n_way=part.spec.n_way)
        values[which] = run(setting, features, part)
    return values


def _share(rejected: np.ndarray) -> str:
    share = rejected.mean()
    return f"{100 * share:.1f} ± {196 * np.sqrt(share * (1 - share) / len(rejected)):.1f}"


if __name__ == "__main__":
    main()

"""How often letters tell two equal methods apart, and how often two that differ, in simulated tables: markdown.

    python benchmarks/statistics/tiers.py --tables 400

Six methods on one set of 148 open episodes of 20 classes. An accuracy is the method's truth + the effects of its
classes + what the episode does to all methods + what it does to this one + what the seed does + what the seed does to
the episode, all normal. Letters are those of a report: paired t-tests of all 15 pairs, Holm, 5 %.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np

from harness.contract.data import Split
from harness.contract.episodes import EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.reports.model import Measured
from harness.reports.standing import standings

N_METHODS, N_CLASSES = 6, 20
EPISODE, SINGLE = 0.06, 0.03  # standard deviations of an episode's own accuracy, and of a seed's share in it
WORLDS = {"all six alike": (0.0,) * 6, "three alike, three 2 points lower": (0.0,) * 3 + (-0.02,) * 3}
SEEDS = ((1, 0.0), (3, 0.0), (3, 0.002), (3, 0.01), (5, 0.002), (5, 0.01), (10, 0.002), (10, 0.01))


def classes_of_episodes() -> np.ndarray:
    """(E, n_way) of open episodes as a bench draws them."""
    labels = np.repeat(np.arange(N_CLASSES), 600)
    images = np.zeros((len(labels), 1, 1, 3), np.uint8)
    split = Split("test", images, labels, tuple(map(str, range(N_CLASSES))), "simulated")
    return sample_episodes(split, EpisodeSpec(5, 1), 600, 0, "open").classes


def one_table(
    truths: tuple[float, ...], n_seeds: int, of_seeds: float, classes: np.ndarray, rng: np.random.Generator
) -> tuple[bool, float]:
    """Whether any two equal methods were told apart, and which share of the pairs that differ."""
    n_episodes = len(classes)
    common = 0.08 * rng.standard_normal(n_episodes) + 0.05 * rng.standard_normal(N_CLASSES)[classes].mean(axis=1)
    reached = {}
    for i, truth in enumerate(truths):
        own = EPISODE * rng.standard_normal(n_episodes)
        effects = 0.03 * rng.standard_normal(N_CLASSES)
        own += (effects - effects.mean())[classes].mean(axis=1)  # no part of the truth about these classes
        seeds = of_seeds * rng.standard_normal((n_seeds, 1)) + SINGLE * rng.standard_normal((n_seeds, n_episodes))
        reached[f"{i}"] = Measured(0.7 + truth + common + own + seeds, classes, N_CLASSES, "simulated")
    letters = standings({"column": reached})["column"].letters
    apart = {pair: not set(letters[pair[0]]) & set(letters[pair[1]]) for pair in combinations(reached, 2)}
    equal = {pair for pair in apart if truths[int(pair[0])] == truths[int(pair[1])]}
    differing = [told for pair, told in apart.items() if pair not in equal]
    return any(apart[pair] for pair in equal), float(np.mean(differing)) if differing else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=400, help="simulated tables a line")
    n_tables = parser.parse_args().tables
    classes = classes_of_episodes()
    print(f"{n_tables} tables a line, {len(classes)} open episodes, {N_METHODS} methods, numpy {np.__version__}.\n")
    print(
        "| methods | seeds | standard deviation of seeds, points | tables with an equal pair told apart, % | ± | "
        "differing pairs told apart, % |"
    )
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name, truths in WORLDS.items():
        for n_seeds, of_seeds in SEEDS:
            rng = np.random.default_rng([n_seeds, round(1e4 * of_seeds), len(set(truths))])
            results = [one_table(truths, n_seeds, of_seeds, classes, rng) for _ in range(n_tables)]
            wrong = np.mean([any_equal for any_equal, _ in results])
            error = 1.96 * np.sqrt(max(wrong * (1 - wrong), 0.01 / n_tables) / n_tables)
            seen = np.mean([share for _, share in results])
            told = "-" if np.isnan(seen) else f"{100 * seen:.0f}"
            line = f"| {name} | {n_seeds} | {100 * of_seeds:g} | {100 * wrong:.1f} | {100 * error:.1f} | {told} |"
            print(line, flush=True)


if __name__ == "__main__":
    main()

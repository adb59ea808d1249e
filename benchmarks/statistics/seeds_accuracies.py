"""Benchmarks of counted answers: bounded, discrete, skew near 95 %, with heavy tails and unequal classes.

The chance of a right answer is a logistic function of a level + effects of the episode's classes (the same for all
benchmarks of a setting: the claim is about these classes), of the episode, of the seed, and of the seed on this
episode, all Student's t of 3 degrees of freedom. The seed moves method A only, so that its mean accuracy is another
than that of an average seed: by what A is truly better or worse is measured, and is the null hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special
from seeds_rules import LEVELS, RULES, Estimates, fraction, table

from harness.common.randomness import numpy_generator
from harness.statistics.class_effects import class_effects
from harness.statistics.comparison import compare
from harness.statistics.incidence import incidence
from harness.statistics.intervals import interval

N_RUNS, BLOCK, N_RANKED = 6000, 2000, 400
N_TRUTH = 100_000  # seeds an episode, whose mean is the truth
N_WAY, N_ANSWERS = 5, 25  # 5 queries a class
CLASS, EPISODE, SINGLE = 0.5, 0.3, 0.2  # scales of effects, in log-odds


@dataclass(frozen=True)
class Setting:
    n_classes: int
    n_images: int  # a class; an open episode takes 6 of each of 5 classes
    accuracy: float
    n_seeds: int
    seed: float  # scale of a seed's effect

    @property
    def n_episodes(self) -> int:
        return self.n_classes * (self.n_images // 6) // N_WAY


SETTINGS = tuple(
    Setting(n_classes, n_images, accuracy, n_seeds, seed)
    for n_classes, n_images in ((10, 30), (64, 30), (10, 300))
    for accuracy in (0.22, 0.95)
    for n_seeds in (3, 5, 10)
    for seed in (0.0, 0.05, 0.2)
)


def section() -> str:
    return f"""## Counted answers: rejections of a true null hypothesis, in percent

{N_RUNS:,} benchmarks a row ({N_RANKED:,} for Wilcoxon's test, at 5 %): {N_WAY}-way 1-shot with {N_ANSWERS} answers \
an open episode; log-odds with effects of classes (scale {CLASS}), episodes ({EPISODE}), of method A's seeds \
(*scale*), and of a method's seed on an episode ({SINGLE}), all Student's t of 3 degrees of freedom. The worst of each \
column is in the last line.

{table(lines())}"""


def lines() -> Iterator[dict[str, str]]:
    worst: dict[str, float] = {}
    for setting in SETTINGS:
        rejected = _rejections(setting)
        for name, (share, _) in rejected.items():
            worst[name] = max(worst.get(name, 0.0), share)
        yield {
            "classes x images": f"{setting.n_classes} x {setting.n_images}",
            "episodes": str(setting.n_episodes),
            "accuracy": f"{100 * setting.accuracy:g}",
            "seeds": str(setting.n_seeds),
            "scale": f"{setting.seed:g}",
            **{name: fraction(*counted) for name, counted in rejected.items()},
        }
    yield {"classes x images": "worst", **{name: f"{100 * share:.2f}" for name, share in worst.items()}}


def _rejections(setting: Setting) -> dict[str, tuple[float, int]]:
    """Test and level → share of rejections, and out of how many."""
    names = (
        setting.n_classes,
        setting.n_images,
        round(100 * setting.accuracy),
        setting.n_seeds,
        round(100 * setting.seed),
    )
    rng = numpy_generator(0, "answers", *names)
    classes, effects = _classes(setting, rng)
    truth = _truth(setting, effects, rng)
    found = {f"{name}, {100 * level:g} %": 0 for name in ("harness", "Satterthwaite") for level in LEVELS}
    ranked = 0
    for block in range(N_RUNS // BLOCK):
        differences = _differences(setting, effects, BLOCK, rng) - truth
        estimates = _estimates(differences, classes, setting.n_classes)
        if block == 0:
            _check(estimates, differences, classes, setting.n_classes)
            for benchmark in differences[:N_RANKED]:
                of_ranks = compare(benchmark, np.zeros_like(benchmark), classes, setting.n_classes, "open")
                ranked += of_ranks.wilcoxon_p < LEVELS[0]
        for name in found:
            rule, _, level = name.removesuffix(" %").partition(", ")
            found[name] += int(RULES[rule](estimates, float(level) / 100).sum())
    return {
        **{name: (count / N_RUNS, N_RUNS) for name, count in found.items()},
        "Wilcoxon, 5 %": (ranked / N_RANKED, N_RANKED),
    }


def _classes(setting: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Classes (E, n_way), all equally often, and the log-odds (E,) of their episodes."""
    rounds = rng.permuted(np.tile(np.arange(setting.n_classes), (setting.n_images // 6, 1)), axis=1)
    whole = rounds.ravel()[: setting.n_episodes * N_WAY].reshape(-1, N_WAY)
    while any(len(set(row)) < N_WAY for row in whole):  # an episode across two rounds
        for row in whole:
            if len(set(row)) < N_WAY:
                other = whole[rng.integers(len(whole))]
                i, j = rng.integers(N_WAY, size=2)
                row[i], other[j] = other[j], row[i]
    of_class = CLASS * rng.standard_t(3, setting.n_classes)
    return whole, special.logit(setting.accuracy) + (of_class - of_class.mean())[whole].mean(axis=1)


def _differences(setting: Setting, effects: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """A minus B, (n, S, E)."""
    shape = (n, setting.n_seeds, setting.n_episodes)
    of_episode = effects + EPISODE * rng.standard_t(3, (n, 1, setting.n_episodes))
    of_seed = setting.seed * rng.standard_t(3, (n, setting.n_seeds, 1))
    a, b = (of_episode + moved + SINGLE * rng.standard_t(3, shape) for moved in (of_seed, 0.0))
    return (rng.binomial(N_ANSWERS, special.expit(a)) - rng.binomial(N_ANSWERS, special.expit(b))) / N_ANSWERS


def _truth(setting: Setting, effects: np.ndarray, rng: np.random.Generator) -> float:
    """What A is better by on these classes, over all seeds, episodes and answers."""
    total = 0.0
    for effect in effects:
        rest = effect + EPISODE * rng.standard_t(3, N_TRUTH) + SINGLE * rng.standard_t(3, N_TRUTH)
        total += float((special.expit(rest + setting.seed * rng.standard_t(3, N_TRUTH)) - special.expit(rest)).mean())
    return total / len(effects)


def _estimates(differences: np.ndarray, classes: np.ndarray, n_classes: int) -> Estimates:
    """What ``interval`` estimates, for all benchmarks (N, S, E) at once."""
    n_seeds = differences.shape[1]
    weights, residuals, df = _regression(classes, n_classes)

    def squared_error(values: np.ndarray) -> np.ndarray:  # (…, E) → (…)
        return ((values @ residuals) ** 2).sum(axis=-1) / df * (weights**2).sum()

    by_episode = differences.mean(axis=1)
    deviations = differences - by_episode[:, None]
    return Estimates(
        mean=by_episode @ weights,
        of_seeds=differences.mean(axis=2).var(axis=1, ddof=1) / n_seeds,
        of_episodes=squared_error(by_episode),
        of_single=squared_error(deviations).sum(axis=1) / (n_seeds * (n_seeds - 1)),
        n_seeds=n_seeds,
        df=df,
    )


def _regression(classes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights (E,) of the mean, the matrix (E, E) that leaves residuals, their degrees of freedom."""
    n_episodes = len(classes)
    if class_effects(np.zeros(n_episodes), classes, n_classes) is None:
        return np.full(n_episodes, 1 / n_episodes), np.eye(n_episodes) - 1 / n_episodes, n_episodes - 1
    design = incidence(classes, n_classes).astype(float)
    inverse = np.linalg.pinv(design)  # (C, E)
    left = np.eye(n_episodes) - design @ inverse
    return np.full(n_classes, classes.shape[1] / n_classes) @ inverse, left, round(float(left.trace()))


def _check(estimates: Estimates, differences: np.ndarray, classes: np.ndarray, n_classes: int) -> None:
    """All at once is what the harness says one by one."""
    for i, benchmark in enumerate(differences[:20]):
        its = interval("open", benchmark, classes, n_classes)
        for level in LEVELS:
            if (its.p_value < level) != RULES["harness"](estimates, level)[i]:
                raise RuntimeError(f"benchmark {i}: the harness has p = {its.p_value}, the simulation another verdict")


if __name__ == "__main__":
    print(section())

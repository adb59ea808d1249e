"""Which test of a difference on new classes holds its level, and which sees most?

    python benchmarks/statistics/class_tests.py [--quick] [--tables FOLDER] [--only N] > class-level-tests.md

Differences of two methods on open episodes, drawn by the harness's own sampler, are simulated with effects of classes,
of pairs of classes, of seeds, and scatter, so that the variance of their mean over new classes is known. Tables are
kept in FOLDER, so that the same command continues what was stopped, and several can be made at once.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy
from class_candidates import CANDIDATES, Design, Errors, n_pairs
from feature_tests import feature_section
from scipy import stats

from harness.common.randomness import numpy_generator
from harness.contract.data import Split
from harness.contract.episodes import EpisodeSpec
from harness.episodes.sampler import sample_episodes

LEVEL, SHIFT = 0.95, 3.0  # power: of a difference of SHIFT standard errors of its mean
DESIGNS = [
    *((n_classes, n_way, 600) for n_way in (5, 10) for n_classes in (10, 16, 20, 64, 160) if n_classes > n_way),
    (109, 5, 36),  # the novel classes of glyphs
]  # classes, n_way, images a class
MANY_EPISODES = 300  # from here on half as many differences
PAIRS = 0.25  # variance of pairs of classes beside that of classes, where there is any
OF_SEED, OF_CLASS_AND_SEED, OF_EPISODE_AND_SEED = 1.0, 0.05, 0.1  # see ``World``


@dataclass(frozen=True)
class World:
    """What a difference is made of. Shares are of the variance of an episode's difference, seeds left out."""

    name: str
    share: float  # of classes
    pairs: float = 0.0  # of pairs of classes
    heavy: bool = False  # Student's t of 4 degrees of freedom in place of normal
    n_seeds: int = 1  # with 3: a seed's variance is OF_SEED times that of the mean, those of classes and episodes
    # within a seed are OF_CLASS_AND_SEED and OF_EPISODE_AND_SEED of an episode's


SHARES = (0.0, 0.05, 0.2, 0.5)
WORLDS = [
    *(World("normal", share) for share in SHARES),
    *(World("heavy tails", share, heavy=True) for share in SHARES),
    *(World("pairs of classes too", share, pairs=PAIRS * share) for share in SHARES[1:]),
    *(World("3 seeds", share, n_seeds=3) for share in SHARES),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs, for a look")
    parser.add_argument("--tables", type=Path, default=Path(tempfile.gettempdir()) / "harness-class-tests")
    parser.add_argument("--only", type=int, help="make only the table with this number, for the next call")
    arguments = parser.parse_args()
    n_runs = 100 if arguments.quick else 2000
    makers: list[Callable[[], str]] = [*(partial(_table, *design, n_runs) for design in DESIGNS)]
    makers.append(partial(feature_section, n_runs // 10))
    arguments.tables.mkdir(parents=True, exist_ok=True)
    tables = []
    for number, make in enumerate(makers):
        path = arguments.tables / f"{number}-{n_runs}.md"
        if not path.exists() and arguments.only in (None, number):
            started = time.process_time()
            path.write_text(make(), encoding="utf-8")
            print(f"table {number}: {time.process_time() - started:.0f} s", file=sys.stderr, flush=True)
        tables.append(path)
    if arguments.only is None:
        print("\n\n".join([_head(n_runs), *(path.read_text(encoding="utf-8") for path in tables)]))


def _head(n_runs: int) -> str:
    return (
        "# Tests of a difference on new classes\n\n"
        f"By `python benchmarks/statistics/class_tests.py`; on one core of {platform.system()} "
        f"{platform.machine()}; numpy {np.__version__}, scipy {scipy.__version__}, Python "
        f"{platform.python_version()}.\n\n"
        "Cells: rejections of a true null hypothesis at 5 % / of a difference of three standard errors of the mean (a "
        "z-test that knew the variance would see 85 %), in percent. Each cell is of the number of differences that "
        f"stands over it; the Monte-Carlo standard error at 5 % is {_error(n_runs)} points with {n_runs:,} and "
        f"{_error(n_runs // 2)} with {n_runs // 2:,}. Columns: the share of classes in the variance of an episode's "
        f"difference. Pairs of classes: {PAIRS} times that on top. Heavy tails: Student's t with 4 degrees of freedom "
        f"for every effect. 3 seeds: a seed's own variance is {OF_SEED:g} times that of the mean, and within a seed "
        f"classes have {OF_CLASS_AND_SEED} and episodes {OF_EPISODE_AND_SEED} of an episode's variance; seeds and "
        "classes are put into one error by Satterthwaite (the harness's own rule is more careful)."
    )


def _error(n_runs: int) -> str:
    return f"{100 * (0.05 * 0.95 / n_runs) ** 0.5:.1f}"


def _table(n_classes: int, n_way: int, per_class: int, n_runs: int) -> str:
    found: dict[str, dict[World, str]] = {}
    designs = [
        Design(_classes(n_classes, n_way, per_class, number), n_classes) for number in range(2 if n_classes > 50 else 5)
    ]
    n_episodes = designs[0].n_episodes
    n_runs = n_runs if n_episodes < MANY_EPISODES else n_runs // 2
    for world in WORLDS:
        counts: dict[str, list[np.ndarray]] = {}
        for number, design in enumerate(designs):
            rng = numpy_generator(number, "class tests", n_classes, n_way, *map(str, vars(world).values()))
            values, error = _differences(rng, design, world, n_runs // len(designs))
            for name, rejected in _rejections(values, design, SHIFT * error):
                counts.setdefault(name, []).append(rejected)
        for name, parts in counts.items():
            none, some = 100 * np.concatenate(parts, axis=1).mean(axis=1)
            found.setdefault(name, {})[world] = f"{none:.1f} / {some:.0f}"
    heads = [f"{world.name}, {100 * world.share:.0f} %" for world in WORLDS]
    rows = [f"| test | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    rows += [f"| {name} | {' | '.join(cells.get(w, '') for w in WORLDS)} |" for name, cells in found.items()]
    return (
        f"## {n_classes} classes of {per_class} images, {n_way}-way\n\n"
        f"{n_episodes:,} open episodes, {n_runs:,} differences a cell.\n\n" + "\n".join(rows)
    )


def _classes(n_classes: int, n_way: int, per_class: int, seed: int) -> np.ndarray:
    labels = np.repeat(np.arange(n_classes), per_class)
    names = tuple(f"class {c}" for c in range(n_classes))
    split = Split("test", np.empty((len(labels), 0)), labels, names, "simulated")
    return sample_episodes(split, EpisodeSpec(n_way, 1, 15), 10**6, seed, "open").classes


def _differences(rng: np.random.Generator, design: Design, world: World, n_runs: int) -> tuple[np.ndarray, float]:
    def draw(*shape: int) -> np.ndarray:
        return rng.standard_t(4, shape) / 2**0.5 if world.heavy else rng.standard_normal(shape)

    n_episodes, n_way = design.n_episodes, design.n_way
    rest = 1 - world.share - world.pairs
    common = (world.share / n_way) ** 0.5 * draw(n_runs, design.n_classes) @ design.has.T
    common += rest**0.5 * draw(n_runs, n_episodes)
    if world.pairs:
        first, second = np.triu_indices(design.n_classes, 1)
        met = design.has[:, first] * design.has[:, second]  # (E, pairs)
        common += (world.pairs / n_pairs(n_way)) ** 0.5 * draw(n_runs, len(first)) @ met.T
    of_classes = design.of_mean(design.shared) / n_way
    variance = world.share * of_classes + rest / n_episodes
    variance += world.pairs / n_pairs(n_way) * design.of_mean(design.shared_pairs)
    if world.n_seeds == 1:
        return common[:, None], variance**0.5
    shape = (n_runs, world.n_seeds)
    of_seed = OF_SEED * variance
    values = common[:, None] + of_seed**0.5 * draw(*shape, 1)
    values = values + (OF_CLASS_AND_SEED / n_way) ** 0.5 * draw(*shape, design.n_classes) @ design.has.T
    values += OF_EPISODE_AND_SEED**0.5 * draw(*shape, n_episodes)
    within = of_seed + OF_CLASS_AND_SEED * of_classes + OF_EPISODE_AND_SEED / n_episodes
    return values, (variance + within / world.n_seeds) ** 0.5


def _rejections(values: np.ndarray, design: Design, shift: float) -> Iterator[tuple[str, np.ndarray]]:
    """For each candidate, (2, R) bool: whether 0 is rejected, of the differences (R, S, E) and of them + ``shift``."""
    by_episode, n_seeds = values.mean(axis=1), values.shape[1]
    means = np.stack([by_episode.mean(axis=1), by_episode.mean(axis=1) + shift])
    of_seeds = values.mean(axis=2).var(axis=1, ddof=1) / n_seeds if n_seeds > 1 else np.zeros(len(values))
    for name, candidate in CANDIDATES.items():
        errors = candidate(by_episode, design)
        if errors is not None and (errors.interval is None or n_seeds == 1):
            yield name, _rejected(means, errors, of_seeds, n_seeds)


def _rejected(means: np.ndarray, errors: Errors, of_seeds: np.ndarray, n_seeds: int) -> np.ndarray:
    if errors.interval is not None:
        ends = errors.interval + (means - means[0])[..., None]  # (2, R, 2)
        return (ends[..., 0] > 0) | (ends[..., 1] < 0)
    total = errors.variance + of_seeds
    df = total**2 / (errors.variance**2 / errors.df + of_seeds**2 / max(1, n_seeds - 1))
    return np.abs(means) > stats.t.ppf((1 + LEVEL) / 2, df) * np.sqrt(total)


if __name__ == "__main__":
    main()

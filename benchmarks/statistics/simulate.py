"""Does each interval cover its own truth, and does each test reject a true null as often as it says?

    python benchmarks/statistics/simulate.py [--quick] [--processes N] [--blocks FOLDER] > statistics.md

Simulates many benchmarks (model.py) and puts the harness's own statistics to them. Results are kept a block of worlds
at a time in FOLDER, so that the same command continues what was stopped; report.py makes the tables.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from model import N_CLASSES, N_POOL, SETTINGS, Setting, World, pool, run
from report import render
from threadpoolctl import threadpool_limits

from harness.statistics.comparison import compare, signed_rank_p
from harness.statistics.intervals import INTERVALS, closed_interval, interval, open_interval

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes, Target

BLOCK = 10  # worlds
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the worlds, for a look")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--blocks", type=Path, default=Path(tempfile.gettempdir()) / "harness-statistics")
    arguments = parser.parse_args()
    settings = (
        [replace(s, n_worlds=max(BLOCK, s.n_worlds // 50)) for s in SETTINGS] if arguments.quick else list(SETTINGS)
    )
    started = time.perf_counter()
    jobs = [
        (setting, block, arguments.blocks / f"{setting.classifier}-{setting.n_way}-{setting.k_shot}-{SEED}-{block}.npz")
        for setting in settings
        for block in range(setting.n_worlds // BLOCK)
    ]
    arguments.blocks.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes) as executor:
        for done, _ in enumerate(executor.map(_keep, jobs), 1):
            print(f"\r{done} of {len(jobs)} blocks, {time.perf_counter() - started:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    results = [(setting, _load([path for s, _, path in jobs if s is setting])) for setting in settings]
    print(render(results))


def _keep(job: tuple[Setting, int, Path]) -> None:
    """Simulate a block and write it down, unless it is there."""
    setting, block, path = job
    if path.exists():
        return
    torch.set_num_threads(1)
    with threadpool_limits(1):
        worlds = [simulate(setting, world) for world in range(block * BLOCK, (block + 1) * BLOCK)]
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **{name: np.stack([world[name] for world in worlds]) for name in worlds[0]})
    temporary.replace(path)


def _load(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """Arrays (n_worlds, …) from the blocks of a setting."""
    blocks = [np.load(path) for path in paths]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0].files}


@cache
def _episodes(setting: Setting, n_episodes: int, target: Target) -> list[Episodes]:
    return pool(setting, n_episodes, target)


def simulate(setting: Setting, number: int) -> dict[str, np.ndarray]:
    """What the harness says of a world's R test sets, and what is true. Arrays (R, …):

    ``truth/these classes``, ``truth/this test set`` (R, 2): A's accuracy and its Monte-Carlo standard error.
    ``EPISODES/INTERVAL`` (R, 3): mean, standard error and half-width for A.
    ``p/NULL/EPISODES/TEST`` (R,): p-values, B against A for the null "these classes", C for "new classes".
    """
    world = World(SEED, number)
    of_classes = open_interval(*world.fresh(setting), N_CLASSES)
    found: dict[str, list[object]] = {}

    def note(name: str, value: object) -> None:
        found.setdefault(name, []).append(value)

    for repeat in range(setting.n_sets):
        features = world.test_set()
        which = (number * setting.n_sets + repeat) % N_POOL
        episodes = {
            "closed": _episodes(setting, setting.n_closed, "closed")[-1 - which],
            "closed, many": _episodes(setting, setting.n_many, "closed")[which],
            "open": _episodes(setting, 10**6, "open")[which],
        }
        note("truth/these classes", (of_classes.mean, of_classes.standard_error))
        for kind, some in episodes.items():
            a, b = (run(setting, features[method], some) for method in "AB")
            rows = {"these classes": b}
            if kind == "closed, many":
                long_run = closed_interval(a)
                note("truth/this test set", (long_run.mean, long_run.standard_error))
            else:
                rows["new classes"] = run(setting, features["C"], some)
                for name in INTERVALS:
                    its = interval(name, a, some.classes, N_CLASSES)
                    note(f"{kind}/{name}", (its.mean, its.standard_error, its.half_width))
            for null, row in rows.items():
                for test, p_value in _p_values(row, a, some.classes).items():
                    note(f"p/{null}/{kind}/{test}", p_value)
    return {name: np.array(values) for name, values in found.items()}


def _p_values(row: np.ndarray, baseline: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    of_images = compare(row, baseline, classes, N_CLASSES, "open")
    return {
        "paired t": compare(row, baseline, classes, N_CLASSES, "closed").t_p,
        "paired t, class effects out": of_images.t_p,
        "Wilcoxon": signed_rank_p(np.round(row - baseline, 12)),
        "Wilcoxon, class effects out": of_images.wilcoxon_p,
        "class interval": interval("class", row - baseline, classes, N_CLASSES).p_value,
    }


if __name__ == "__main__":
    main()

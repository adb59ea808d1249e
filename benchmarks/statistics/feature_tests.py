"""The candidates of class_candidates.py on simulated features (model.py), where episodes can be drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from class_candidates import CANDIDATES, Design
from model import N_CLASSES, N_POOL, PER_CLASS, SETTINGS, Setting, World, pool, run
from scipy import stats
from torch import Tensor

from harness.common.randomness import numpy_generator

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes

SEED = 1
N_HALVES = 40
DRAWN_AGAIN = "half of the classes, episodes drawn again"


def feature_section(n_worlds: int) -> str:
    """Rejections of the true null hypothesis that method C is as accurate as A on new classes."""
    torch.set_num_threads(1)
    setting = SETTINGS[0]
    episodes = pool(setting, 10**6, "open")
    of_half = pool(setting, 10**6, "open", N_CLASSES // 2)
    designs = [Design(some.classes, N_CLASSES) for some in episodes]
    rejected: dict[str, list[bool]] = {}
    for number in range(n_worlds):
        features, which = World(SEED, number).test_set(), number % N_POOL
        difference = run(setting, features["C"], episodes[which]) - run(setting, features["A"], episodes[which])
        for name, candidate in CANDIDATES.items():
            errors = candidate(difference[None], designs[which])
            if errors is None:
                continue
            if errors.interval is not None:
                p_value = float(errors.interval[0, 0] <= 0 <= errors.interval[0, 1])
            else:
                p_value = 2 * stats.t.sf(abs(difference.mean()) / errors.variance[0] ** 0.5, errors.df[0])
            rejected.setdefault(name, []).append(p_value < 0.05)
        error = _half_classes(setting, features, of_half, number)
        p_value = 2 * stats.t.sf(abs(difference.mean()) / error, N_CLASSES - 1)
        rejected.setdefault(DRAWN_AGAIN, []).append(p_value < 0.05)
    lines = ["| test | rejections |", "|---|---|"]
    for name, happened in rejected.items():
        share = float(np.mean(happened))
        lines.append(f"| {name} | {100 * share:.1f} ± {100 * (share * (1 - share) / n_worlds) ** 0.5:.1f} |")
    return (
        f"## On features: {N_CLASSES} classes of {PER_CLASS} images, {setting.name}\n\n"
        f"Methods A and C of `model.py`, equal on new classes; {n_worlds:,} worlds, open episodes; rejections of "
        f"the true null hypothesis at 5 %, in percent. `{DRAWN_AGAIN}`: the standard error is the scatter of the mean "
        f"differences of {N_HALVES} halves of the classes, drawn without replacement (a class drawn twice would meet "
        "itself in an episode), on open episodes of that half; it needs the features of every method, and a "
        "classification of all those episodes.\n\n" + "\n".join(lines)
    )


def _half_classes(setting: Setting, features: Mapping[str, Tensor], episodes: Sequence[Episodes], number: int) -> float:
    """The standard error of the mean difference by half samples of classes: their variance is that of the mean."""
    rng = numpy_generator(SEED, "halves", number)
    means = []
    for _ in range(N_HALVES):
        half = torch.from_numpy(rng.permutation(N_CLASSES)[: N_CLASSES // 2])
        some = episodes[rng.integers(N_POOL)]
        a, c = (
            run(setting, features[method].view(N_CLASSES, PER_CLASS, -1)[half].flatten(0, 1), some).mean()
            for method in "AC"
        )
        means.append(c - a)
    return float(np.std(means, ddof=1))

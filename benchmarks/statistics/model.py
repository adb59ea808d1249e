"""Simulated benchmarks whose truth is known: Gaussian classes, images of unequal difficulty, real classifiers on top.

A *world* is a draw of 20 novel classes, a *test set* a draw of 600 images of each. Three methods look at them:

    A   sees a class as a Gaussian around its mean
    B   the same geometry, but the means of half of the classes have changed places: on these classes exactly as
        accurate as A, on single classes and episodes not
    C   class means of its own, correlated with A's: on new classes exactly as accurate as A, on these ones not
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from harness.common.randomness import torch_generator
from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec, Target
from harness.episodes.sampler import sample_episodes
from harness.evaluation import classifiers

N_CLASSES, PER_CLASS, N_FEATURES = 20, 600, 16
SPREAD = 0.75  # standard deviation of class means, in units of an image's scatter
UNEQUAL_CLASSES, UNEQUAL_IMAGES = 0.15, 0.3  # log-standard deviations of a class's spread, of an image's scatter
SHARED = 0.5  # correlation of what two methods see of one image, and of one class for C
N_POOL = 40  # index sets of episodes, drawn once and used in turn
BATCH = 1000  # episodes at once


@dataclass(frozen=True)
class Setting:
    """What a simulated benchmark runs."""

    name: str
    classifier: str
    k_shot: int
    n_worlds: int  # each with ``n_sets`` test sets, a simulated benchmark each
    n_sets: int = 4
    n_closed: int = 600
    n_many: int = 2000  # closed episodes of the long run, whose mean stands for the sampler's
    n_fresh: int = 3000  # episodes of images that no test set has, whose mean stands for these classes
    n_way: int = 5

    @property
    def spec(self) -> EpisodeSpec:
        return EpisodeSpec(self.n_way, self.k_shot, 15)


SETTINGS = (
    Setting("5-way 1-shot, nearest-centroid", "nearest_centroid", 1, 2000),
    Setting("5-way 5-shot, nearest-centroid", "nearest_centroid", 5, 500),
    Setting("10-way 1-shot, nearest-centroid", "nearest_centroid", 1, 500, n_way=10),
    Setting("5-way 1-shot, logistic", "logistic", 1, 150),
)


def pool(setting: Setting, n_episodes: int, target: Target, n_classes: int = N_CLASSES) -> list[Episodes]:
    labels = np.repeat(np.arange(n_classes), PER_CLASS)
    names = tuple(f"class {c}" for c in range(n_classes))
    split = Split("test", np.empty((len(labels), 0)), labels, names, "simulated")
    return [sample_episodes(split, setting.spec, n_episodes, seed, target) for seed in range(N_POOL)]


class World:
    """Class means of the three methods, and draws of images around them."""

    def __init__(self, seed: int, world: int) -> None:
        self.random = torch_generator("cpu", seed, "world", world)
        means, other = SPREAD * self._randn(2, N_CLASSES, N_FEATURES)
        unequal = torch.exp(UNEQUAL_CLASSES * self._randn(N_CLASSES, 1))
        moved = torch.randperm(N_CLASSES, generator=self.random)[: N_CLASSES // 2]
        places = torch.arange(N_CLASSES)
        places[moved] = moved.roll(1)
        unequal_for_c = torch.exp(UNEQUAL_CLASSES * self._randn(N_CLASSES, 1))  # its own: what A's classes lent each
        # other would cancel in the mean over classes, and their scatter would no longer tell how sure the mean is
        a = means * unequal
        c = (SHARED * means + (1 - SHARED**2) ** 0.5 * other) * unequal_for_c
        self.means = {"A": a, "B": a[places], "C": c}

    def _randn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def test_set(self) -> dict[str, Tensor]:
        """What each method sees of a new test set, (N_CLASSES * PER_CLASS, N_FEATURES)."""
        scatter = torch.exp(UNEQUAL_IMAGES * self._randn(N_CLASSES, PER_CLASS, 1))
        common, *own = self._randn(len(self.means) + 1, N_CLASSES, PER_CLASS, N_FEATURES)
        noise = (SHARED**0.5 * common + (1 - SHARED) ** 0.5 * of_method for of_method in own)
        pairs = zip(self.means.items(), noise, strict=True)
        return {name: (means[:, None] + scatter * of_method).flatten(0, 1) for (name, means), of_method in pairs}

    def fresh(self, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
        """A's accuracies (E,) on images that are never seen again, and their classes (E, n_way), all alike often."""
        rounds = torch.rand(setting.n_fresh * setting.n_way // N_CLASSES, N_CLASSES, generator=self.random).argsort(
            dim=1
        )
        classes = rounds.view(-1, setting.n_way)
        accuracies = []
        for part in classes.split(BATCH):
            shape = (*part.shape, setting.k_shot + setting.spec.n_query)
            scatter = torch.exp(UNEQUAL_IMAGES * self._randn(*shape, 1))
            images = self.means["A"][part][:, :, None] + scatter * self._randn(*shape, N_FEATURES)
            accuracies.append(_accuracies(setting, images[:, :, : setting.k_shot], images[:, :, setting.k_shot :]))
        return np.concatenate(accuracies), classes.numpy()


def run(setting: Setting, features: Tensor, episodes: Episodes) -> np.ndarray:
    """Accuracies (E,) of the setting's classifier on features (N, N_FEATURES)."""
    support, query = torch.from_numpy(episodes.support), torch.from_numpy(episodes.query)
    parts = zip(support.split(BATCH), query.split(BATCH), strict=True)
    return np.concatenate([_accuracies(setting, features[s], features[q]) for s, q in parts])


def _accuracies(setting: Setting, support: Tensor, query: Tensor) -> np.ndarray:
    """(E,) from support (E, n_way, k_shot, D) and query (E, n_way, n_query, D)."""
    n_way = support.shape[1]
    of_support, of_query = (torch.arange(n_way).repeat_interleave(x.shape[2]) for x in (support, query))
    classifier = getattr(classifiers, setting.classifier)
    scores = classifier(support.flatten(1, 2), of_support.expand(len(support), -1), query.flatten(1, 2), n_way)
    highest = reduce(torch.maximum, scores.unbind(dim=2))  # (E, Q); amax over so short an axis is several times slower
    own = scores.gather(2, of_query.expand(len(scores), -1)[..., None]).squeeze(2)
    return (own == highest).double().mean(dim=1).numpy()

"""A split of noisy images, a learner of pixels, and their accuracies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.contract.data import Augmentation, Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import BatchedClassifier, ClassifierSpec, Head
from harness.episodes.sampler import sample_episodes
from harness.evaluation import CLASSIFIERS as CLASSIFIER_SPECS
from harness.evaluation import TRANSFORMS as TRANSFORM_SPECS
from harness.evaluation.evaluator import Evaluator
from harness.evaluation.heads import LoadedHead

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.results import Score

N_CLASSES, PER_CLASS = 12, 30
AUGMENTATION = Augmentation(crop_padding=1, flip=True)
CLASSIFIERS = {spec.name: spec.load() for spec in CLASSIFIER_SPECS}
TRANSFORMS = {spec.name: spec for spec in TRANSFORM_SPECS}


def make_split(name: str = "test", seed: int = 0, noise: float = 90.0) -> Split:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(N_CLASSES), PER_CLASS))
    images = rng.integers(0, 256, (N_CLASSES, 4, 4, 1))[labels] + rng.normal(0, noise, (len(labels), 4, 4, 1))
    names = tuple(f"{name} {c}" for c in range(N_CLASSES))
    return Split(name, images.clip(0, 255).astype(np.uint8), labels, names, f"{name} {seed}")  # type: ignore[arg-type]


SPLIT = make_split()


class Pixels:
    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 255


def sample(n: int = 40, k_shot: int = 2, dirichlet: float = 0.0) -> Episodes:
    return sample_episodes(SPLIT, EpisodeSpec(4, k_shot, 5, dirichlet), n, 0)


def evaluate(
    learner: Any,
    split: Split,
    episodes: list[Episodes],
    head: Head | None,
    classifier: BatchedClassifier | None = None,
    **about: Any,
) -> list[Score]:
    if head is None:
        return Evaluator(learner, split, **about).scores(episodes, None)
    function = classifier or CLASSIFIERS[head.classifier]
    transforms = tuple(TRANSFORMS[name] for name in head.transform.split("+"))
    loaded = LoadedHead(head, ClassifierSpec(head.classifier, "", lambda: function), transforms)
    return Evaluator(learner, split, **about).scores(episodes, loaded)


def accuracies(episodes: Episodes, head: Head, classifier: BatchedClassifier | None = None) -> np.ndarray:
    classifier = classifier or CLASSIFIERS[head.classifier]
    [score] = evaluate(Pixels(), SPLIT, [episodes], head, classifier, augmentation=AUGMENTATION)
    return score.accuracies

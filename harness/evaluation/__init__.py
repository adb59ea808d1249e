"""From a trained learner to accuracies: embed each image once, classify all episodes at once.

    embed.py ─ features ─► transforms.py ─► classifiers.py, logistic.py ─ scores ─► scoring.py ─► accuracies

``evaluator.Evaluator`` is the entry. Importing this package imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from harness.contract.heads import ClassifierSpec, TransformSpec


def _load(name: str, module: str = "classifiers") -> Callable[[], Any]:
    return lambda: getattr(import_module(f"harness.evaluation.{module}"), name)


CLASSIFIERS = (
    ClassifierSpec("logistic", "multinomial logistic regression, C = 1, all episodes at once", _load("logistic")),
    ClassifierSpec(
        "logistic-sklearn", "the same by scikit-learn, the reference; slow: a fit an episode", _load("logistic_sklearn")
    ),
    ClassifierSpec("nearest-centroid", "squared Euclidean distance to class means", _load("nearest_centroid")),
    ClassifierSpec("nearest-neighbour", "Euclidean distance to the nearest support image", _load("nearest_neighbour")),
    ClassifierSpec("cosine", "cosine similarity to class means", _load("cosine")),
    ClassifierSpec("ridge", "ridge regression onto the classes, penalty 1, closed form", _load("ridge")),
    ClassifierSpec("svm", "linear support vectors, C = 1, by scikit-learn; slow: a fit an episode", _load("svm")),
)

TRANSFORMS = (
    TransformSpec("none", "features as they are", _load("none", "transforms")),
    TransformSpec("l2", "features of length one", _load("l2", "transforms")),
    TransformSpec(
        "centre", "less the mean of the base classes", _load("centre", "transforms"), base_statistics=("mean",)
    ),
    TransformSpec(
        "power", "square roots, more Gaussian; of features that are not negative", _load("power", "transforms")
    ),
)

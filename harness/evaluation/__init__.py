"""From a trained learner to accuracies: embed each image once, classify all episodes at once.

    embed.py ─ features ─► transforms.py ─► classifiers.py, logistic.py ─ scores ─► scoring.py ─► accuracies

``evaluate`` is the entry. Importing this package imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.contract.heads import BatchedClassifier, ClassifierSpec

if TYPE_CHECKING:
    from harness.evaluation.scoring import evaluate

__all__ = ["SPECS", "evaluate"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from harness.evaluation import scoring

        return scoring.evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _load(name: str) -> Callable[[], BatchedClassifier]:
    def load() -> BatchedClassifier:
        from harness.evaluation import classifiers

        return getattr(classifiers, name)

    return load


SPECS = (
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

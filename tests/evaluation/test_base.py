"""harness/evaluation/base.py: heads that ask what the base classes say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.common.errors import HarnessError
from harness.contract.heads import BaseStatistics, ClassifierSpec, Head, TransformSpec
from harness.evaluation import CLASSIFIERS as CLASSIFIER_SPECS
from harness.evaluation.evaluator import Evaluator
from harness.evaluation.heads import LoadedHead
from tests.helpers.scoring import (
    CLASSIFIERS,
    N_CLASSES,
    SPLIT,
    TRANSFORMS,
    Pixels,
    accuracies,
    evaluate,
    make_split,
    sample,
)


def test_centring_uses_the_base_classes_and_is_cached(tmp_path: Path) -> None:
    base = make_split("train", seed=1)
    head, cache = Head("cosine", "centre+l2"), tmp_path / "features"
    mean = torch.from_numpy(base.images.reshape(len(base), -1) / np.float32(255)).mean(dim=0)
    told: list[BaseStatistics] = []

    def listen(features: Tensor, base: BaseStatistics) -> Tensor:
        told.append(base)
        return features

    listening = TransformSpec("listen", "", lambda: listen, base_statistics=("mean",))
    heard = LoadedHead(Head("cosine", "listen"), CLASSIFIER_SPECS[0], (listening,))
    Evaluator(Pixels(), SPLIT, base=base).scores([sample()], heard)
    torch.testing.assert_close(told[0].mean, mean, rtol=1e-4, atol=1e-5)
    scores = [
        evaluate(Pixels(), SPLIT, [sample()], head, CLASSIFIERS["cosine"], base=base, features_cache=path)[0].accuracies
        for path in (None, cache, cache)
    ]
    assert (scores[0] == scores[1]).all()
    assert (scores[1] == scores[2]).all()
    assert (scores[0] != accuracies(sample(), Head("cosine", "l2"))).any()
    assert len(list(cache.glob("test-*"))) == len(list(cache.glob("mean-of-train-*"))) == 1


def test_a_classifier_may_ask_what_the_base_classes_say() -> None:
    """Class means and covariances of the features as its head transforms them, against numpy's."""
    base = make_split("train", seed=1)
    told: list[BaseStatistics] = []

    def listening(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int, base: BaseStatistics) -> Tensor:
        told.append(base)
        return CLASSIFIERS["cosine"](support, support_labels, query, n_way)

    asked = ("mean", "class_means", "covariances")
    spec = ClassifierSpec("listening", "", lambda: listening, base_statistics=asked)
    head = LoadedHead(Head("listening", "l2"), spec, (TRANSFORMS["l2"],))
    [score] = Evaluator(Pixels(), SPLIT, base=base).scores([sample()], head)
    assert (score.accuracies == accuracies(sample(), Head("cosine", "l2"))).all()
    pixels = base.images.reshape(len(base), -1) / np.float32(255)
    features = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    members = [features[base.labels == label] for label in range(N_CLASSES)]
    np.testing.assert_allclose(told[0].mean, features.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(told[0].class_means, [m.mean(axis=0) for m in members], rtol=1e-4)
    np.testing.assert_allclose(told[0].covariances, [np.cov(m.T) for m in members], rtol=1e-3, atol=1e-6)


def test_base_features_are_embedded_once_for_all_who_ask(tmp_path: Path) -> None:
    class Counting(Pixels):
        n_images = 0

        def embed(self, images: Tensor) -> Tensor:
            self.n_images += len(images)
            return super().embed(images)

    def unlike_the_base(support: Tensor, labels: Tensor, query: Tensor, n_way: int, base: BaseStatistics) -> Tensor:
        assert base.class_means is not None
        return CLASSIFIERS["cosine"](
            support - base.class_means.mean(0), labels, query - base.class_means.mean(0), n_way
        )

    spec = ClassifierSpec("unlike", "", lambda: unlike_the_base, base_statistics=("class_means",))
    embedded = []
    for _ in range(2):
        learner = Counting()
        evaluator = Evaluator(learner, SPLIT, base=make_split("train", seed=1), features_cache=tmp_path)
        evaluator.scores([sample(), sample(10)], LoadedHead(Head("unlike"), spec, (TRANSFORMS["none"],)))
        embedded.append(learner.n_images)
    assert embedded[0] > 0
    assert embedded[1] == 0


@pytest.mark.parametrize(("classifier", "transform"), [("asking", "none"), ("cosine", "centre")])
def test_a_head_that_asks_for_base_classes_that_are_not_there_is_refused(classifier: str, transform: str) -> None:
    asks = ("class_means",) if classifier == "asking" else ()
    spec = ClassifierSpec(classifier, "", lambda: CLASSIFIERS["cosine"], base_statistics=asks)
    head = LoadedHead(Head(classifier, transform), spec, (TRANSFORMS[transform],))
    with pytest.raises(HarnessError, match="needs features of the base classes, which are not there"):
        Evaluator(Pixels(), SPLIT).scores([sample()], head)

"""The predicted label of every query, against loops over episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import ClassifierSpec, Head
from harness.contract.results import label_type
from harness.episodes.sampler import sample_episodes
from harness.evaluation.evaluator import Evaluator
from harness.evaluation.heads import LoadedHead
from tests.helpers.scoring import CLASSIFIERS, SPLIT, Pixels, sample

if TYPE_CHECKING:
    from harness.contract.learners import EpisodeBatch

VARIED = sample_episodes(SPLIT, EpisodeSpec(6, 3, 4, least_way=2, least_shot=1), 30, 0)
ABSENT = 255


def predicted(episodes: Episodes, classifier=CLASSIFIERS["nearest-centroid"], learner=None) -> tuple[np.ndarray, ...]:
    """What was predicted, and the accuracies."""
    head = LoadedHead(Head("x"), ClassifierSpec("x", "", lambda: classifier), ()) if learner is None else None
    [score] = Evaluator(learner or Pixels(), SPLIT).scores([episodes], head, predictions=True)
    [without] = Evaluator(learner or Pixels(), SPLIT).scores([episodes], head)
    assert without.predicted is None
    np.testing.assert_array_equal(score.accuracies, without.accuracies)
    assert score.predicted is not None
    assert score.predicted.dtype == np.uint8
    return score.predicted, score.accuracies


class Episodic:
    def predict(self, batch: EpisodeBatch) -> Tensor:
        support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
        return CLASSIFIERS["nearest-centroid"](support, batch.support_labels, query, batch.n_way)


def loop(episodes: Episodes) -> list[list[int]]:
    """Episode by episode with numpy, in the order of the episode's own queries."""
    lines = []
    for e in range(len(episodes)):
        way, shot = episodes.shapes[e] if episodes.shapes is not None else (episodes.spec.n_way, episodes.spec.k_shot)
        pixels = SPLIT.images.reshape(len(SPLIT), -1) / 255.0
        means = [pixels[episodes.support[e, label, :shot]].mean(axis=0) for label in range(way)]
        query = episodes.query[e, :way].reshape(-1) if episodes.shapes is not None else episodes.query[e].reshape(-1)
        lines.append([int(np.argmin([((pixels[image] - mean) ** 2).sum() for mean in means])) for image in query])
    return lines


@pytest.mark.parametrize("learner", [None, Episodic()], ids=["head", "episodic"])
@pytest.mark.parametrize("episodes", [sample(), sample(dirichlet=1.0), VARIED], ids=["balanced", "dirichlet", "varied"])
def test_predictions_are_those_of_a_loop_in_the_order_of_the_queries(episodes: Episodes, learner) -> None:
    labels, _ = predicted(episodes, learner=learner)
    for line, expected in zip(labels.tolist(), loop(episodes), strict=True):
        assert line[: len(expected)] == expected
        assert set(line[len(expected) :]) <= {ABSENT}


def test_right_predictions_make_the_accuracies_where_no_scores_tie() -> None:
    episodes = sample()
    labels, accuracies = predicted(episodes)
    np.testing.assert_allclose((labels == episodes.query_labels).mean(axis=1), accuracies)


def test_a_transductive_classifier_is_put_back_in_order_too() -> None:
    """One that looks at all queries at once: each class takes the queries nearest to it, as many as it should have."""

    def balanced(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        scores = CLASSIFIERS["nearest-centroid"](support, support_labels, query, n_way)
        return scores - scores.median(dim=1, keepdim=True).values

    labels, accuracies = predicted(sample(), balanced)
    np.testing.assert_allclose((labels == sample().query_labels).mean(axis=1), accuracies)


def test_ties_are_broken_without_favour() -> None:
    """Constant scores are chance for each class, and no label is predicted more often than another."""
    episodes = sample(500)
    labels, accuracies = predicted(episodes, lambda s, y, query, n_way: query.new_zeros(*query.shape[:2], n_way))
    right = labels == episodes.query_labels
    assert right.mean() == pytest.approx(accuracies.mean(), abs=0.02)
    for label in range(4):
        assert right[episodes.query_labels == label].mean() == pytest.approx(0.25, abs=0.05)
    again, _ = predicted(episodes, lambda s, y, query, n_way: query.new_zeros(*query.shape[:2], n_way))
    np.testing.assert_array_equal(labels, again)


def test_a_tie_is_broken_among_those_that_tie() -> None:
    def two_best(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(*query.shape[:2], 4)

    labels, _ = predicted(sample(200), two_best)
    assert set(np.unique(labels).tolist()) == {1, 3}


@pytest.mark.parametrize(("n_way", "kind"), [(5, np.uint8), (255, np.uint8), (256, np.uint16)])
def test_every_label_has_a_number_and_one_is_left_for_none(n_way: int, kind: type) -> None:
    assert label_type(n_way) is kind
    assert np.iinfo(kind).max > n_way - 1

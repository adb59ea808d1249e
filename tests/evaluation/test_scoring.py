"""Accuracies against an episode-by-episode loop, and the fairness of what learners are shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.common.errors import PluginError
from harness.contract.episodes import EpisodeSpec
from harness.contract.heads import Head
from harness.episodes.sampler import sample_episodes
from harness.evaluation import episodic, scoring
from harness.evaluation.embed import ViewSource
from tests.helpers.scoring import AUGMENTATION, CLASSIFIERS, SPLIT, Pixels, accuracies, evaluate, make_split, sample

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.learners import EpisodeBatch


class Episodic:
    """Nearest class mean on pixels, as a learner of its own; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[EpisodeBatch] = []

    def predict(self, batch: EpisodeBatch) -> Tensor:
        self.batches.append(batch)
        support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
        return CLASSIFIERS["nearest-centroid"](support, batch.support_labels, query, batch.n_way)


@pytest.mark.parametrize("dirichlet", [0.0, 1.0])
@pytest.mark.parametrize("views", [1, 3])
def test_accuracies_are_those_of_a_loop_over_episodes(views: int, dirichlet: float) -> None:
    from sklearn.neighbors import NearestCentroid

    episodes = sample(dirichlet=dirichlet)
    found = accuracies(episodes, Head("nearest-centroid", views=views))
    source = ViewSource(SPLIT, AUGMENTATION, 0, views=views)
    for e in range(len(episodes)):
        support = np.repeat(episodes.support[e].reshape(-1), views)
        x = source.read(support, np.tile(np.arange(views), len(support) // views)).flatten(1).numpy() / 255.0
        model = NearestCentroid().fit(x, SPLIT.labels[support])
        query = episodes.query[e].reshape(-1)
        predicted = model.predict(SPLIT.images[query].reshape(len(query), -1) / 255.0)
        assert found[e] == pytest.approx((predicted == SPLIT.labels[query]).mean())


def test_one_embedding_serves_several_settings_in_order() -> None:
    several = [sample(), sample(25, k_shot=5), sample(10, k_shot=1)]
    head = Head("cosine", "l2", views=2)
    together = evaluate(Pixels(), SPLIT, several, head, CLASSIFIERS["cosine"], augmentation=AUGMENTATION)
    for score, episodes in zip(together, several, strict=True):
        assert (score.accuracies == accuracies(episodes, head)).all()
        assert (score.episodes, score.target, score.episodes_fingerprint) == (
            episodes.spec,
            episodes.target,
            episodes.fingerprint,
        )


@pytest.mark.parametrize("name", ["logistic", "cosine"])
def test_accuracies_do_not_depend_on_chunks_or_on_later_episodes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = accuracies(sample(40), Head(name))
    assert (accuracies(sample(15), Head(name)) == whole[:15]).all()
    monkeypatch.setattr(scoring, "CHUNK_BYTES", 10_000)
    assert (accuracies(sample(40), Head(name)) == whole).all()


def test_constant_scores_are_worth_chance() -> None:
    def constant(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return torch.zeros(*query.shape[:2], n_way)

    for dirichlet in (0.0, 1.0):
        assert accuracies(sample(dirichlet=dirichlet), Head(), constant) == pytest.approx(np.full(40, 0.25))


def test_a_tie_is_worth_its_share() -> None:
    def two_best(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return torch.tensor([1.0, 1.0, 0.0, -torch.inf]).expand(*query.shape[:2], 4)

    assert accuracies(sample(), Head(), two_best) == pytest.approx(np.full(40, 0.5 / 2))


def test_cross_entropies_are_those_of_a_loop_over_queries() -> None:
    rng = np.random.default_rng(0)
    episodes = sample(7)
    _, labels = scoring.shuffled_queries(episodes)
    scores = rng.normal(0, 3, (*labels.shape, episodes.spec.n_way))
    expected = [
        np.mean([-np.log(np.exp(row)[right] / np.exp(row).sum()) for row, right in zip(queries, answers, strict=True)])
        for queries, answers in zip(scores, labels, strict=True)
    ]
    found = scoring.cross_entropies("scores", torch.from_numpy(scores), labels, episodes, slice(0, len(labels)))
    assert found == pytest.approx(np.array(expected), rel=1e-9)


def test_query_order_gives_no_labels_away() -> None:
    def by_position(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        labels = torch.arange(n_way).repeat_interleave(query.shape[1] // n_way)
        return torch.nn.functional.one_hot(labels, n_way).float().expand(len(query), -1, -1)

    assert accuracies(sample(2_000), Head(), by_position).mean() == pytest.approx(0.25, abs=0.01)
    order, labels = scoring.shuffled_queries(sample(30))
    assert (SPLIT.labels[order] == np.take_along_axis(sample(30).classes, labels, axis=1)).all()
    assert (np.sort(order, axis=1) == np.sort(sample(30).query.reshape(30, -1), axis=1)).all()
    assert (scoring.shuffled_queries(sample(12))[0] == order[:12]).all()


@pytest.mark.parametrize("head", [None, Head(views=3)])
def test_an_episodic_learner_is_scored_like_the_head_that_it_imitates(
    head: Head | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodic, "EPISODIC_IMAGES", 4)
    learner, episodes = Episodic(), sample(30)
    [score] = evaluate(learner, SPLIT, [episodes], head, None, augmentation=AUGMENTATION)
    expected = accuracies(episodes, Head("nearest-centroid", views=head.views if head else 1))
    np.testing.assert_allclose(score.accuracies, expected)
    assert len(learner.batches) > 1
    first = learner.batches[0]
    assert first.support.dtype == first.query.dtype == torch.uint8
    assert first.support.shape[1:] == (4 * 2 * (head.views if head else 1), 4, 4, 1)
    assert first.query.shape[1:] == (20, 4, 4, 1)
    per_class = 2 * (head.views if head else 1)
    assert all(labels.bincount(minlength=4).tolist() == [per_class] * 4 for labels in first.support_labels)


def test_without_a_head_a_learner_that_could_embed_too_predicts() -> None:
    class Both(Episodic):
        def embed(self, images: Tensor) -> Tensor:
            raise AssertionError("the head decides, and there is none")

    [score] = evaluate(Both(), SPLIT, [sample()], None, None)
    np.testing.assert_array_equal(score.accuracies, evaluate(Episodic(), SPLIT, [sample()], None, None)[0].accuracies)


def test_an_episodic_learner_adapts_with_gradients_and_a_generator_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    class Adapting:
        """Fits a linear layer from a random start by gradient descent, an episode after the other."""

        def __init__(self) -> None:
            self.names: list[list[str]] = []

        def predict(self, batch: EpisodeBatch) -> Tensor:
            self.names.extend(map(list, batch.class_names))
            support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
            scores = []
            for x, y, q, generator in zip(support, batch.support_labels, query, batch.generators, strict=True):
                weight = torch.randn(batch.n_way, x.shape[1], generator=generator).requires_grad_()
                for _ in range(5):
                    loss = torch.nn.functional.cross_entropy(x @ weight.T, y)
                    (gradient,) = torch.autograd.grad(loss, weight)
                    weight = weight - 0.5 * gradient
                scores.append(q @ weight.T)
            return torch.stack(scores)

    learner, episodes = Adapting(), sample(30)
    with torch.no_grad():
        [whole] = evaluate(learner, SPLIT, [episodes], None, view_seed=3)
    monkeypatch.setattr(episodic, "EPISODIC_IMAGES", 4)  # an episode at once
    [one_by_one] = evaluate(Adapting(), SPLIT, [episodes], None, view_seed=3)
    assert (whole.accuracies == one_by_one.accuracies).all()
    [other] = evaluate(Adapting(), SPLIT, [episodes], None, view_seed=4)
    assert (other.accuracies != whole.accuracies).any()
    assert learner.names == [[f"test {label}" for label in classes] for classes in episodes.classes]


def test_features_of_several_splits_are_kept_side_by_side(tmp_path: Path) -> None:
    class Counting(Pixels):
        n_images = 0

        def embed(self, images: Tensor) -> Tensor:
            self.n_images += len(images)
            return super().embed(images)

    def scored_on(split: Split) -> int:
        """How many images are embedded to score on ``split``."""
        learner, episodes = Counting(), sample_episodes(split, EpisodeSpec(4, 2, 5), 10, 0)
        evaluate(learner, split, [episodes], Head("cosine"), CLASSIFIERS["cosine"], features_cache=tmp_path)
        return learner.n_images

    other = make_split(seed=7)
    assert [scored_on(split) > 0 for split in (SPLIT, other, SPLIT, other)] == [True, True, False, False]


def test_evaluate_puts_a_network_into_eval_mode() -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(16)

        def embed(self, images: Tensor) -> Tensor:
            return self.norm(images.flatten(1).float())

    network = Network().train()
    before = network.norm.running_mean.clone()
    evaluate(network, SPLIT, [sample()], Head("cosine"), CLASSIFIERS["cosine"])
    assert (network.norm.running_mean == before).all()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            lambda batch: torch.zeros(len(batch.query), 20, 5),
            "shape (40, 20, 5); scores must be a tensor (E, Q, n_way), here (40, 20, 4)",
        ),
        (lambda batch: None, "a NoneType"),
        (lambda batch: torch.full((len(batch.query), 20, 4), torch.nan), "scores that are NaN"),
    ],
)
def test_an_episodic_learner_that_returns_nonsense_is_named(returned: object, message: str) -> None:
    learner = Episodic()
    learner.predict = returned  # type: ignore[assignment, method-assign]
    with pytest.raises(PluginError, match=rf"Episodic.predict\(\) returned {re.escape(message)}"):
        evaluate(learner, SPLIT, [sample()], None, None)


def test_a_classifier_that_returns_nonsense_is_named() -> None:
    def broken(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        return query

    with pytest.raises(PluginError, match=r"the classifier broken\(\) returned shape"):
        accuracies(sample(), Head(), broken)


def test_a_learner_of_neither_kind_is_refused() -> None:
    with pytest.raises(PluginError, match=r"object can neither embed\(images\) nor predict\(batch\)"):
        evaluate(object(), SPLIT, [sample()], Head(), CLASSIFIERS["cosine"])
    with pytest.raises(PluginError, match="needs a head"):
        evaluate(Pixels(), SPLIT, [sample()], None, None)

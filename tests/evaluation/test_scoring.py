"""Accuracies against an episode-by-episode loop, and the fairness of what learners are shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.common.errors import HarnessError, PluginError
from harness.contract.data import Augmentation, Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import BaseStatistics, BatchedClassifier, ClassifierSpec, Head, TransformSpec
from harness.episodes.sampler import sample_episodes
from harness.evaluation import CLASSIFIERS as CLASSIFIER_SPECS
from harness.evaluation import TRANSFORMS as TRANSFORM_SPECS
from harness.evaluation import episodic, scoring
from harness.evaluation.embed import ViewSource
from harness.evaluation.evaluator import Evaluator
from harness.evaluation.heads import LoadedHead

if TYPE_CHECKING:
    from harness.contract.learners import EpisodeBatch
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


class Episodic:
    """Nearest class mean on pixels, as a learner of its own; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[EpisodeBatch] = []

    def predict(self, batch: EpisodeBatch) -> Tensor:
        self.batches.append(batch)
        support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
        return CLASSIFIERS["nearest-centroid"](support, batch.support_labels, query, batch.n_way)


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

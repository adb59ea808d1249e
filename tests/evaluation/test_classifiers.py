"""The batched classifiers against scikit-learn and against plain loops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.evaluation import CLASSIFIERS as SPECS
from harness.evaluation import classifiers, logistic
from harness.evaluation.classifiers import logistic_sklearn

N_WAY, K_SHOT = 5, 3


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """scikit-learn's fits are so small that more threads only wait for each other."""
    with threadpool_limits(1):
        yield


def make_episodes(
    n_episodes: int = 6,
    n_way: int = N_WAY,
    k_shot: int = K_SHOT,
    n_features: int = 24,
    scale: float = 0.0,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Support, labels in a shuffled order, and queries, as after a ReLU; ``scale`` 0: normalised."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    means = 0.8 + randn(n_episodes, n_way, n_features)
    labels = torch.arange(n_way).repeat_interleave(k_shot)[torch.randperm(n_way * k_shot, generator=generator)]
    support = torch.relu(means[:, labels] + randn(n_episodes, n_way * k_shot, n_features))
    query = torch.relu(means.repeat_interleave(7, dim=1) + randn(n_episodes, n_way * 7, n_features))
    if scale == 0:
        support, query = (torch.nn.functional.normalize(x, dim=2) for x in (support, query))
    factor = scale or 1.0
    return (support * factor).to(dtype), labels.expand(n_episodes, -1), (query * factor).to(dtype)


def gradient_norms(support: Tensor, labels: Tensor, weights: Tensor, intercept: Tensor, C: float = 1.0) -> Tensor:
    """(E,) norms of scikit-learn's objective's gradient, for three classes or more, in centred coordinates."""
    centred = support - support.mean(dim=1, keepdim=True)
    logits = support @ weights.transpose(1, 2) + intercept[:, None]
    residual = torch.nn.functional.one_hot(labels, weights.shape[1]) - logits.softmax(dim=2)
    by_weights = weights - C * residual.transpose(1, 2) @ centred
    return (by_weights.square().sum(dim=(1, 2)) + (C * residual.sum(dim=1)).square().sum(dim=1)).sqrt()


def newton_sklearn(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """scikit-learn's logits by its Newton solver, which is tighter than its lbfgs."""
    model = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-10, max_iter=1000)
    return torch.from_numpy(model.fit(support.numpy(), labels.numpy()).decision_function(query.numpy()))


@pytest.mark.filterwarnings("ignore:.*[Ll]ine [Ss]earch")  # scikit-learn, once it is down to rounding
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
@pytest.mark.parametrize(
    ("n_way", "k_shot", "n_features"), [(5, 1, 24), (5, 5, 24), (2, 3, 24), (20, 2, 40), (5, 12, 8)]
)
def test_logistic_agrees_with_sklearn(n_way: int, k_shot: int, n_features: int, scale: float) -> None:
    support, labels, query = make_episodes(2, n_way, k_shot, n_features, scale)
    truth = torch.stack([newton_sklearn(*episode) for episode in zip(support, labels, query, strict=True)])
    scores = classifiers.logistic(support, labels, query, n_way)
    if n_way == 2:  # scikit-learn gives one logit, the difference of ours
        truth = torch.stack([-truth, truth], dim=2) / 2
    shift = (scores - truth).mean(dim=2, keepdim=True)  # the intercepts share a free constant
    torch.testing.assert_close(scores - shift, truth, rtol=1e-5, atol=1e-5)
    assert (scores.argmax(dim=2) == truth.argmax(dim=2)).all()


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [0.0, 5.0])
def test_logistic_reaches_the_minimum(C: float, scale: float) -> None:
    for dtype, bound in ((torch.float64, 1e-7), (torch.float32, 2e-3)):
        support, labels, _ = make_episodes(8, scale=scale, dtype=dtype)
        weights, intercept = logistic.fit(support, labels, N_WAY, C)
        assert gradient_norms(support.double(), labels, weights.double(), intercept.double(), C).max() < bound


def test_logistic_in_float32_predicts_as_in_float64() -> None:
    support, labels, query = make_episodes(200)
    predictions = [
        classifiers.logistic(support.to(dtype), labels, query.to(dtype), N_WAY).argmax(dim=2)
        for dtype in (torch.float32, torch.float64)
    ]
    assert (predictions[0] == predictions[1]).double().mean() > 0.9995


def test_logistic_needs_no_centred_features() -> None:
    support, labels, query = make_episodes(5, dtype=torch.float32)
    scores = classifiers.logistic(support, labels, query, N_WAY)
    far = classifiers.logistic(support + 50, labels, query + 50, N_WAY)
    torch.testing.assert_close(far.softmax(dim=2), scores.softmax(dim=2), rtol=0, atol=2e-3)


@pytest.mark.parametrize(("n_way", "k_shot"), [(20, 5), (50, 1), (50, 5)])
@pytest.mark.parametrize("scale", [0.3, 3.0, 10.0])
def test_logistic_reaches_the_minimum_with_many_classes_and_large_features(n_way, k_shot, scale) -> None:
    """Features of a ReLU network as they are, of norm 10 to 400: the first Newton step leads far beyond the minimum."""
    random = torch.Generator().manual_seed(0)
    means = 0.8 + 0.5 * torch.randn(2, n_way, 320, generator=random, dtype=torch.float64)
    labels = torch.arange(n_way).repeat_interleave(k_shot).expand(2, -1)
    drawn = means[:, labels[0]]
    support = scale * torch.relu(drawn + torch.randn(drawn.shape, generator=random, dtype=torch.float64))
    for dtype, bound in ((torch.float64, 1e-7), (torch.float32, 1e-2)):
        weights, intercept = logistic.fit(support.to(dtype), labels, n_way)
        assert gradient_norms(support, labels, weights.double(), intercept.double(), 1.0).max() < bound


@pytest.mark.parametrize("classify", [classifiers.nearest_centroid, classifiers.nearest_neighbour])
def test_distances_keep_their_digits_far_from_the_origin(classify: Callable[..., Tensor]) -> None:
    support, labels, query = make_episodes(20)
    near, far = (classify(support + away, labels, query + away, N_WAY) for away in (0, 1000))
    torch.testing.assert_close(far - far[..., :1], near - near[..., :1], rtol=1e-6, atol=1e-6)
    in_32 = classify(support.float() + 1000, labels, query.float() + 1000, N_WAY)
    assert (in_32.argmax(dim=2) == near.argmax(dim=2)).double().mean() > 0.99


def test_ridge_of_features_too_large_for_float32_is_that_of_float64() -> None:
    support, labels, query = make_episodes(5, scale=1e4)
    truth = classifiers.ridge(support, labels, query, N_WAY)
    torch.testing.assert_close(
        classifiers.ridge(support.float(), labels, query.float(), N_WAY).double(), truth, rtol=1e-3, atol=1e-3
    )


def test_an_episode_is_solved_alike_alone_and_among_hard_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    easy, labels, easy_query = make_episodes(3)
    hard, _, hard_query = make_episodes(3, scale=100.0, seed=1)
    together = classifiers.logistic(
        torch.cat([easy, hard]), labels[:1].expand(6, -1), torch.cat([easy_query, hard_query]), N_WAY
    )
    torch.testing.assert_close(
        together[:3], classifiers.logistic(easy, labels, easy_query, N_WAY), rtol=1e-6, atol=1e-6
    )
    monkeypatch.setitem(logistic.CHUNK_BYTES, "cpu", 1)
    torch.testing.assert_close(
        classifiers.logistic(easy, labels, easy_query, N_WAY), together[:3], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [spec.name for spec in SPECS])
def test_every_classifier_survives_degenerate_features(name: str, dtype: torch.dtype) -> None:
    classifier = next(spec for spec in SPECS if spec.name == name).load()
    support, labels, query = make_episodes(3, dtype=dtype)
    for features in (
        torch.zeros_like(support),
        torch.full_like(support, 0.1),
        support * 1e3,
        support[:, :1].expand_as(support),
    ):
        scores = classifier(features, labels, query, N_WAY)
        assert scores.shape == (3, N_WAY * 7, N_WAY)
        assert scores.dtype == dtype
        assert scores.isfinite().all()


@pytest.mark.parametrize("n_way", [2, 5])
def test_ridge_agrees_with_sklearn(n_way: int) -> None:
    from sklearn.linear_model import RidgeClassifier

    support, labels, query = make_episodes(n_way=n_way, scale=1.0)
    scores = classifiers.ridge(support, labels, query, n_way)
    for e in range(len(support)):
        truth = RidgeClassifier(alpha=1.0).fit(support[e], labels[e]).decision_function(query[e])
        truth = np.stack([-truth, truth], axis=1) if n_way == 2 else truth
        np.testing.assert_allclose(scores[e], truth, atol=1e-9)


def test_nearest_centroid_agrees_with_sklearn() -> None:
    from sklearn.neighbors import NearestCentroid

    support, labels, query = make_episodes()
    scores = classifiers.nearest_centroid(support, labels, query, N_WAY)
    for e in range(len(support)):
        assert (scores[e].argmax(dim=1).numpy() == NearestCentroid().fit(support[e], labels[e]).predict(query[e])).all()
    prototypes = torch.stack([support[0, labels[0] == c].mean(dim=0) for c in range(N_WAY)])
    distances = (query[0][:, None] - prototypes).square().sum(dim=2)
    of_all = (query[0] - support[0].mean(dim=0)).square().sum(dim=1, keepdim=True)
    torch.testing.assert_close(of_all - scores[0], distances)


def test_nearest_neighbour_agrees_with_sklearn() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    support, labels, query = make_episodes()
    scores = classifiers.nearest_neighbour(support, labels, query, N_WAY)
    for e in range(len(support)):
        truth = KNeighborsClassifier(n_neighbors=1).fit(support[e], labels[e]).predict(query[e])
        assert (scores[e].argmax(dim=1).numpy() == truth).all()


def test_cosine_is_the_cosine_to_class_means() -> None:
    from sklearn.metrics.pairwise import cosine_similarity

    support, labels, query = make_episodes(scale=3.0)
    scores = classifiers.cosine(support, labels, query, N_WAY)
    prototypes = np.stack([support[2, labels[2] == c].numpy().mean(axis=0) for c in range(N_WAY)])
    np.testing.assert_allclose(scores[2], cosine_similarity(query[2].numpy(), prototypes), atol=1e-12)


@pytest.mark.parametrize("n_way", [2, 5])
def test_svm_predicts_as_sklearn(n_way: int) -> None:
    from sklearn.svm import SVC

    support, labels, query = make_episodes(n_way=n_way, scale=1.0)
    scores = classifiers.svm(support, labels, query, n_way)
    for e in range(len(support)):
        truth = SVC(kernel="linear", break_ties=True).fit(support[e], labels[e]).predict(query[e])
        assert (scores[e].argmax(dim=1).numpy() == truth).all()


@pytest.mark.parametrize("n_way", [2, 5])
def test_logistic_sklearn_predicts_as_logistic(n_way: int) -> None:
    support, labels, query = make_episodes(20, n_way=n_way)
    truth = logistic_sklearn(support, labels, query, n_way, tol=1e-8).argmax(dim=2)
    assert (classifiers.logistic(support, labels, query, n_way).argmax(dim=2) == truth).all()


def test_naming_the_classifiers_imports_no_torch() -> None:
    code = "import sys, harness.evaluation as e; assert e.CLASSIFIERS; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

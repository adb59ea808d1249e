"""plugins/metalearning: the base learners of R2-D2 and MetaOptNet beside scikit-learn, and trainings through them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from harness_metalearning import METAOPTNET, METAOPTNET_RIDGE, R2D2
from harness_metalearning.crammer_singer import crammer_singer
from harness_metalearning.metaoptnet import MetaOptNetOptions, recipe_parts
from harness_metalearning.ridge import one_hot_ridge
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from harness.catalogue.catalogue import Catalogue
from harness.contract.recipe import Position
from tests.helpers.metalearning import QUERY, SHOT, WAY, Fitted, accuracy, four_classes


def problem(n_way, k_shot, n_features, size=1.0, n_episodes=2):
    generator = torch.Generator().manual_seed(n_way + k_shot)
    draw = (
        torch.randn(n_episodes, n, n_features, generator=generator, dtype=torch.float64) for n in (n_way * k_shot, 6)
    )
    support, query = (size * drawn for drawn in draw)
    return support, torch.arange(n_way).repeat(n_episodes, k_shot), query


@pytest.mark.parametrize(("k_shot", "n_features"), [(1, 12), (5, 4)])
def test_one_hot_ridge_is_scikit_learns(k_shot, n_features):
    support, labels, query = problem(5, k_shot, n_features)
    scores = one_hot_ridge(support, labels, query, 5)
    for e in range(2):
        model = Ridge(alpha=1.0, fit_intercept=False).fit(support[e].numpy(), np.eye(5)[labels[e].numpy()])
        np.testing.assert_allclose(scores[e].numpy(), model.predict(query[e].numpy()), atol=1e-10)


@pytest.mark.parametrize(
    ("n_way", "k_shot", "n_features", "C"), [(5, 1, 20, 1.0), (5, 5, 10, 10.0), (3, 4, 2, 1.0), (5, 5, 40, 0.1)]
)
def test_crammer_singer_is_liblinears_with_any_C(n_way, k_shot, n_features, C):
    """C is what features are scaled by; with 2 features and 12 supports the classes cannot be told apart."""
    support, labels, query = problem(n_way, k_shot, n_features)
    scores = crammer_singer(math.sqrt(C) * support, labels, math.sqrt(C) * query, n_way)
    for e in range(2):
        model = LinearSVC(C=C, multi_class="crammer_singer", fit_intercept=False, tol=1e-9, max_iter=100_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(support[e].numpy(), labels[e].numpy())
        np.testing.assert_allclose(scores[e].numpy(), query[e].numpy() @ model.coef_.T, atol=2e-5)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_crammer_singer_finds_the_optimum_at_any_size(size):
    """No w is better: the primal objective of what the scores of all unit vectors say is the dual's."""
    support, labels, _ = problem(4, 3, 5, size)
    support[:, 1] = support[:, 0]  # twice the same image, in two classes
    weights = crammer_singer(support, labels, torch.eye(5, dtype=torch.float64).expand(2, 5, 5), 4)  # (E, D, n_way)
    scores = support @ weights
    own = scores.gather(2, labels[..., None])
    margins = (scores + 1 - own).scatter(2, labels[..., None], 0.0)
    primal = 0.5 * weights.square().sum((1, 2)) + margins.amax(2).clamp(min=0).sum(1)
    generator = torch.Generator().manual_seed(0)
    for step in (1e-1, 1e-3, 1e-5):
        moved = weights + step * weights.abs().max() * torch.randn(
            weights.shape, generator=generator, dtype=torch.float64
        )
        scores = support @ moved
        margins = (scores + 1 - scores.gather(2, labels[..., None])).scatter(2, labels[..., None], 0.0)
        other = 0.5 * moved.square().sum((1, 2)) + margins.amax(2).clamp(min=0).sum(1)
        assert (other >= primal * (1 - 1e-9)).all()


@pytest.mark.parametrize("solve", [one_hot_ridge, crammer_singer])
def test_gradients_are_finite_differences(solve):
    support, labels, query = problem(3, 2, 5, n_episodes=1)
    inputs = support.requires_grad_(), query.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, q: solve(x, labels, q, 3), inputs, eps=1e-5, atol=1e-5, fast_mode=True)


# ── the methods ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "values"),
    [(R2D2, {"penalty": 7.0}), (METAOPTNET_RIDGE, {"C": 1 / 7}), (METAOPTNET, {"C": 0.2})],
    ids=lambda value: getattr(value, "name", ""),
)
def test_features_are_scaled_so_that_the_head_is_the_papers_base_learner(plain, method, values):
    learner = Fitted(method, plain, images=WAY * (SHOT + QUERY), learning_rate=1e-9, **values).learner
    images = torch.from_numpy(plain.train.images[:48:4])
    with torch.no_grad():
        raw = super(type(learner), learner).embed(images).double().numpy()
        scaled = learner.embed(images).double()
    labels = np.repeat([0, 1], 6)
    solve = Catalogue.discover().classifier(method.head.classifier).load()
    scores = solve(scaled[None], torch.from_numpy(labels)[None], scaled[None], 2)[0].numpy()
    if method is METAOPTNET:
        np.testing.assert_allclose(scaled.numpy(), math.sqrt(0.2) * raw, rtol=1e-6)
        return
    if method is R2D2:
        raw = np.concatenate([raw, np.ones((12, 1))], axis=1)
    model = Ridge(alpha=7.0, fit_intercept=False).fit(raw, np.eye(2)[labels])
    np.testing.assert_allclose(scores, model.predict(raw), atol=1e-5)


@pytest.mark.parametrize("method", [R2D2, METAOPTNET, METAOPTNET_RIDGE], ids=lambda method: method.name)
def test_a_few_classes_are_learned(plain, method):
    data = four_classes(plain)
    values = {"optimiser": "adam", "meta_batch": 2, "scale": 10.0}
    fitted = Fitted(method, data, epochs=25, **values)
    assert accuracy(fitted.learner, data, Catalogue.discover().head(method.head)) > 0.8


def test_penalty_and_scale_are_learned_where_asked(plain):
    for learn, trained in ((True, {"scale", "log_strength"}), (False, {"scale"})):
        learner = Fitted(R2D2, plain, epochs=3, learn_penalty=learn).learner
        start = {"scale": 10.0, "log_strength": -math.log(50)}
        moved = {name for name, value in start.items() if abs(getattr(learner, name).item() - value) > 1e-4}
        assert moved == trained


def test_label_smoothing_gives_each_other_class_its_share(plain):
    """The first loss of MetaOptNet by hand, from the scores that its own head gives."""
    losses = {}
    for smoothing in (0.0, 0.1):
        fitted = Fitted(METAOPTNET, plain, epochs=1, label_smoothing=smoothing, learning_rate=1e-9)
        losses[smoothing] = fitted.trainer.history[0]["loss"]
    uniform = Fitted(METAOPTNET, plain, epochs=1, label_smoothing=0.75, learning_rate=1e-9).trainer.history[0]["loss"]
    # ε = 3/4 of 4 classes is the uniform target; losses are linear in ε.
    assert losses[0.1] == pytest.approx(losses[0.0] + 0.1 / 0.75 * (uniform - losses[0.0]), rel=1e-5)
    assert uniform > math.log(WAY) - 1e-6


def test_metaoptnets_rate_falls_as_in_its_code():
    schedule = recipe_parts(MetaOptNetOptions())["schedule"]
    rates = [schedule(Position(1000 * epoch, 60_000, 1000)) for epoch in (0, 19, 20, 39, 40, 49, 50, 59)]
    assert rates == pytest.approx([1, 1, 0.06, 0.06, 0.012, 0.012, 0.0024, 0.0024])

"""plugins/transductive against plain loops over episodes, queries and classes, written from the papers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from harness_transductive import CLASSIFIERS, features
from harness_transductive.pt_map import transport

from harness.catalogue.catalogue import Catalogue
from harness.testing import check_classifier
from tests.helpers import transductive as loops

N_WAY = 3
LOADED = {spec.name: spec.load() for spec in CLASSIFIERS}
FEW = {"tim": {"steps": 8}, "alpha-tim": {"steps": 8}, "tim-adm": {"steps": 8}, "paddle": {"steps": 30}}
LOOPS = {name: getattr(loops, name.replace("-", "_")) for name in LOADED}
QUICK = {name: partial(classify, **FEW.get(name, {})) for name, classify in LOADED.items()}


def episodes(n_episodes=4, k_shot=2, n_query=10, n_features=12, seed=0, apart=1.0):
    """Supports, labels in an order of each episode, queries of unequal classes, and what those are."""
    rng = np.random.default_rng(seed)
    centres = 1 + apart * rng.standard_normal((n_episodes, N_WAY, n_features))
    labels = np.stack([rng.permutation(np.repeat(np.arange(N_WAY), k_shot)) for _ in range(n_episodes)])
    truth = rng.integers(0, N_WAY, (n_episodes, n_query))
    drawn = [np.take_along_axis(centres, each[..., None], axis=1) for each in (labels, truth)]
    support, query = (each + rng.standard_normal(each.shape) for each in drawn)
    return tuple(torch.from_numpy(each) for each in (support, labels, query, truth))


@pytest.mark.parametrize("k_shot", [1, 2, 5])
@pytest.mark.parametrize("name", LOADED)
def test_all_episodes_at_once_score_as_a_loop_over_them(name, k_shot):
    support, labels, query, _ = episodes(k_shot=k_shot)
    scores = QUICK[name](support, labels, query, N_WAY)
    alpha = {"alpha": {1: 2.0, 2: 5.0, 5: 7.0}[k_shot]} if name == "alpha-tim" else {}
    for e, episode in enumerate(zip(support.numpy(), labels.numpy(), query.numpy(), strict=True)):
        truth = torch.from_numpy(LOOPS[name](*episode, N_WAY, **alpha))
        shift = (scores[e] - truth).mean(dim=1, keepdim=True)  # logits share a free constant
        torch.testing.assert_close(scores[e] - shift, truth, rtol=1e-6, atol=1e-6)


def test_laplacian_shot_may_take_class_means_of_supports_alone():
    support, labels, query, _ = episodes()
    scores = LOADED["laplacian-shot"](support, labels, query, N_WAY, rectified=False)
    truth = loops.laplacian_shot(support[0].numpy(), labels[0].numpy(), query[0].numpy(), N_WAY, rectified=False)
    torch.testing.assert_close(scores[0], torch.from_numpy(truth), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOADED)
def test_float32_predicts_as_float64(name):
    support, labels, query, _ = episodes(n_episodes=40, n_features=40, seed=1)
    double = QUICK[name](support, labels, query, N_WAY).argmax(dim=2)
    single = QUICK[name](support.float(), labels, query.float(), N_WAY).argmax(dim=2)
    assert (double == single).double().mean() > 0.995


@pytest.mark.parametrize("name", LOADED)
def test_the_order_of_queries_supports_and_classes_tells_nothing(name):
    support, labels, query, _ = episodes(seed=2)
    scores = QUICK[name](support, labels, query, N_WAY)
    queries, supports, classes = (torch.from_numpy(np.random.default_rng(3).permutation(n)) for n in (10, 6, N_WAY))
    moved = QUICK[name](support[:, supports], classes[labels[:, supports]], query[:, queries], N_WAY)
    torch.testing.assert_close(moved[..., classes], scores[:, queries], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", LOADED)
def test_chunks_change_nothing(name, monkeypatch):
    support, labels, query, _ = episodes(seed=4)
    scores = QUICK[name](support, labels, query, N_WAY)
    monkeypatch.setattr(features, "CHUNK_BYTES", {"cpu": 1})
    torch.testing.assert_close(QUICK[name](support, labels, query, N_WAY), scores, rtol=1e-9, atol=1e-9)
    assert QUICK[name](support[:0], labels[:0], query[:0], N_WAY).shape == (0, 10, N_WAY)


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_that_are_all_alike_give_finite_scores(name, value):
    support, labels, query, _ = episodes()
    scores = QUICK[name](torch.full_like(support, value), labels, torch.full_like(query, value), N_WAY)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOADED.keys() - {"paddle"}))  # which is made for few classes of many
def test_queries_improve_on_a_single_support(name):
    """Queries in clusters, one support of each: the nearest support is wrong more often."""
    support, labels, query, truth = episodes(12, k_shot=1, n_query=45, n_features=200, seed=5, apart=0.4)
    accuracy = (LOADED[name](support, labels, query, N_WAY).argmax(dim=2) == truth).double().mean()
    by_label = torch.take_along_dim(support, labels.argsort(dim=1)[..., None], dim=1)
    inductive = (torch.cdist(query, by_label).argmin(dim=2) == truth).double().mean()
    assert inductive < 0.85
    assert accuracy > inductive + 0.03


def test_a_transport_gives_each_query_once_and_each_class_as_many():
    costs = torch.rand(5, N_WAY, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plan = transport(costs, 10.0)
    torch.testing.assert_close(plan.sum(dim=1), torch.ones(5, 10, dtype=torch.float64), rtol=0, atol=1e-5)
    torch.testing.assert_close(plan.sum(dim=2), torch.full((5, N_WAY), 10 / N_WAY, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "values", "assumes_balance"),
    [
        ("pt-map", {}, True),
        ("bd-cspn", {}, True),
        ("laplacian-shot", {}, True),
        ("laplacian-shot", {"rectified": False}, False),
        ("paddle", {}, False),
    ],
)
def test_queries_of_one_class_are_spread_only_where_balance_is_assumed(name, values, assumes_balance):
    rng = torch.Generator().manual_seed(0)
    support, labels, _, _ = episodes(20, n_features=200, seed=6)
    of_class = labels.argsort(dim=1)[:, :1, None]  # a support of class 0
    query = torch.take_along_dim(support, of_class, dim=1) + torch.randn(20, 30, 200, generator=rng)
    share = (LOADED[name](support, labels, query, N_WAY, **values).argmax(dim=2) == 0).double().mean()
    assert share < 0.7 if assumes_balance else share > 0.95


@pytest.mark.parametrize("spec", CLASSIFIERS, ids=lambda spec: spec.name)
def test_it_keeps_the_contract(spec):
    assert Catalogue.discover().classifiers[spec.name].transductive
    check_classifier(spec)


def test_the_readme_names_every_classifier():
    text = (Path(__file__).parents[2] / "plugins" / "transductive" / "README.md").read_text(encoding="utf-8")
    assert [spec.name for spec in CLASSIFIERS if f"**{spec.name}**" not in text] == []

"""plugins/metalearning: MAML and ANIL beside learn2learn and plain loops; what their inner loop may see."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness_metalearning import (
    ANIL,
    LEO,
    MAML,
    MAML_TRANSDUCTIVE,
    META_LSTM,
    METAOPTNET,
    METAOPTNET_RIDGE,
    R2D2,
    adaptation,
)
from harness_metalearning.adaptation import Anil, Maml
from harness_metalearning.maml import MamlOptions
from harness_metalearning.norms import EpisodeNorm, within_episodes
from torch import nn
from torch.nn import functional as F

from harness.common.errors import HarnessError
from harness.contract.learners import EpisodeBatch
from harness.contract.methods import BuildContext
from harness.testing import tiny_dataset
from tests.helpers.metalearning import WAY, Fitted, accuracy, four_classes

METHODS = (MAML, MAML_TRANSDUCTIVE, ANIL, R2D2, METAOPTNET, METAOPTNET_RIDGE, LEO, META_LSTM)


class Small(nn.Module):
    """A convolution, a BatchNorm, and their mean over the map."""

    n_features = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Tanh())

    def forward(self, images):
        return self.layers(images).mean((2, 3))


def network(kind, *rest, **options):
    torch.manual_seed(1)
    made = kind(BuildContext(tiny_dataset().spec, 20, MamlOptions(train_way=3, **options), Small), *rest)
    return made.double()


def episodes(n_episodes=1, n_query=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    support = torch.randn(n_episodes, 6, 3, 8, 8, generator=generator, dtype=dtype)
    query = torch.randn(n_episodes, n_query, 3, 8, 8, generator=generator, dtype=dtype)
    return support, torch.arange(3).repeat(n_episodes, 2), query


# ── MAML ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.learn2learn
@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("together", [False, True])
def test_logits_and_meta_gradients_are_learn2learns(order, together, monkeypatch):
    """Its MAML on the same weights, one episode; its gradients reach the weights through ``clone`` and ``adapt``."""
    monkeypatch.setattr(adaptation, "at_once", lambda tensor: together)
    ours = network(Maml, False, inner_steps=3, inner_rate=0.3, order=order).train()
    support, labels, query = episodes()
    targets = torch.tensor([0, 2, 1, 1])
    logits = ours(support, labels, query, 3)
    F.cross_entropy(logits[0], targets).backward()

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from learn2learn.algorithms import MAML as Theirs
    same = network(Maml, False)
    norm = same.backbone.layers[1]
    theirs = Theirs(nn.Sequential(same.backbone, same.head), lr=0.3, first_order=order == "first")
    learner = theirs.clone()
    for _ in range(3):
        learner.adapt(F.cross_entropy(learner(support[0]), labels[0]))
    (adapted_norm,) = (module for module in learner.modules() if isinstance(module, EpisodeNorm))
    norm.n_first = adapted_norm.n_first = 6
    expected = learner(torch.cat([support[0], query[0]]))[6:]
    F.cross_entropy(expected, targets).backward()

    torch.testing.assert_close(logits[0], expected, rtol=1e-10, atol=1e-12)
    for (name, weight), other in zip(ours.named_parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("together", [False, True])
def test_many_episodes_at_once_are_each_alone(together, monkeypatch):
    monkeypatch.setattr(adaptation, "at_once", lambda tensor: together)
    ours = network(Maml, False, inner_steps=2, inner_rate=0.3).train()
    support, labels, query = episodes(3)
    logits = ours(support, labels, query, 3)
    for e in range(3):
        alone = ours(support[e : e + 1], labels[e : e + 1], query[e : e + 1], 3)
        torch.testing.assert_close(logits[e : e + 1], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_half_precision_gives_about_the_same(order, together, train, monkeypatch):
    monkeypatch.setattr(adaptation, "at_once", lambda tensor: together)
    ours = network(Maml, False, inner_steps=2, test_steps=2, inner_rate=0.3, order=order).float().train(train)
    support, labels, query = episodes(2)
    parts = support.float(), labels, query.float(), 3
    with torch.set_grad_enabled(train):
        exact = ours(*parts)
        with torch.autocast("cpu", torch.bfloat16):
            half = ours(*parts)
        torch.testing.assert_close(half, exact, rtol=0.2, atol=0.2)
        if train:
            half.square().mean().backward()
            assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in ours.parameters())


@pytest.mark.parametrize("transductive", [False, True])
def test_a_query_sees_the_others_only_where_the_row_says_so(transductive):
    ours = network(Maml, transductive, test_steps=2).eval()
    support, labels, query = episodes()
    whole, alone = ours(support, labels, query, 3), ours(support, labels, query[:, :1], 3)
    assert torch.allclose(whole[:, :1], alone) is not transductive
    assert (MAML.transductive, MAML_TRANSDUCTIVE.transductive) == (False, True)


def test_statistics_are_those_of_the_supports():
    maps = torch.randn(7, 5, 4, 4, dtype=torch.float64)
    before = nn.BatchNorm2d(5).double()
    nn.init.normal_(before.weight)
    nn.init.normal_(before.bias)
    norm = EpisodeNorm(before)
    torch.testing.assert_close(norm(maps), before(maps))
    norm.n_first = 3
    supports = maps[:3].numpy()
    mean, variance = supports.mean((0, 2, 3)), supports.var((0, 2, 3))
    scaled = (maps.numpy() - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
    expected = scaled * before.weight.detach().numpy()[:, None, None] + before.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(norm(maps).detach().numpy(), expected)


def test_another_normalisation_over_batches_is_refused_in_a_line():
    with pytest.raises(HarnessError, match="BatchNorm1d: use --backbone"):
        within_episodes(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))


def test_in_another_way_each_class_starts_from_the_mean_of_the_rows():
    ours = network(Maml, False, test_steps=1, inner_rate=1e-12).eval()
    batch = EpisodeBatch(
        torch.randint(0, 256, (2, 4, 8, 8, 3), dtype=torch.uint8),
        torch.arange(4).repeat(2, 1),
        torch.randint(0, 256, (2, 5, 8, 8, 3), dtype=torch.uint8),
        4,
    )
    scores = ours.predict(batch)
    assert scores.shape == (2, 5, 4)
    torch.testing.assert_close(scores, scores[..., :1].expand_as(scores))


# ── ANIL ──────────────────────────────────────────────────────────────────────────────────────────


def test_anil_descends_on_the_head_alone():
    """Softmax regression by plain gradient descent in numpy, on features of the backbone in eval mode."""
    ours = network(Anil, test_steps=4, inner_rate=0.7).eval()
    support, labels, query = episodes(2)
    scores = ours(support, labels, query, 3).detach().numpy()
    with torch.no_grad():
        x, q = (
            ours.backbone(images.flatten(0, 1)).unflatten(0, images.shape[:2]).numpy() for images in (support, query)
        )
    for e in range(2):
        weight, bias = ours.head.weight.detach().numpy().copy(), ours.head.bias.detach().numpy().copy()
        for _ in range(4):
            exponentials = np.exp(x[e] @ weight.T + bias)
            residual = exponentials / exponentials.sum(1, keepdims=True) - np.eye(3)[labels[e].numpy()]
            weight, bias = weight - 0.7 * residual.T @ x[e] / 6, bias - 0.7 * residual.mean(0)
        np.testing.assert_allclose(scores[e], q[e] @ weight.T + bias, rtol=1e-5, atol=1e-6)


# ── both, and all ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", [MAML, ANIL], ids=lambda method: method.name)
def test_a_few_classes_are_learned(plain, method):
    data = four_classes(plain)
    fitted = Fitted(method, data, epochs=30, inner_steps=1, test_steps=1, inner_rate=0.1, meta_batch=1)
    assert accuracy(fitted.learner, data) > 0.8
    assert fitted.trainer.images_seen == 30 * WAY * (2 + 3)


def test_episodes_that_do_not_fit_are_told_before_training(plain):
    assert "--set LABEL.train_way=8" in MAML.check(MamlOptions(train_way=9), plain)
    assert "--set LABEL.train_query=23" in MAML.check(MamlOptions(train_query=24), plain)
    assert MAML.check(MamlOptions(), plain) is None
    assert MAML.check(MamlOptions(), replace(plain, train=None)) is None


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_readme_names_every_option_and_preset(method):
    text = (Path(__file__).parents[2] / "plugins" / "metalearning" / "README.md").read_text(encoding="utf-8")
    named = (method.name, *method.options.model_fields, *method.presets)
    assert [name for name in named if f"`{name}`" not in text] == []

"""plugins/metric, matching networks: attention and full context by hand, and what they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.contract.learners import EpisodeBatch
from tests.helpers.fitting import accuracy_on_base, built, fitted, noise

harness_metric = pytest.importorskip("harness_metric", reason="harness-metric is not installed")
MATCHING = harness_metric.MATCHING
SMALL = {"train_way": 3, "train_shot": 2, "train_query": 2, "schedule": "constant"}


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def attention(support, labels, query, n_way, scale):
    """Eq. 1 of the paper for one query: the supports' labels, weighted by a softmax of cosines."""
    cosines = [query @ each / np.linalg.norm(query) / np.linalg.norm(each) for each in support]
    weights = softmax(scale * np.array(cosines))
    return np.array([sum(w for w, label in zip(weights, labels, strict=True) if label == c) for c in range(n_way)])


def lstm_step(weights, x, h, c, suffix=""):
    """A step of an LSTM from its four gates: input, forget, cell, output."""
    w, b = weights[f"weight_ih{suffix}"], weights[f"bias_ih{suffix}"]
    u, d = weights[f"weight_hh{suffix}"], weights[f"bias_hh{suffix}"]
    i, f, g, o = np.split(w @ x + b + u @ h + d, 4)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def in_context(module, support, query, steps):
    """Appendix A.1 and A.2 for one episode."""
    weights = {name: value.detach().numpy() for name, value in module.of_supports.named_parameters()}
    outputs = np.zeros_like(support)
    for suffix, order in (("_l0", range(len(support))), ("_l0_reverse", reversed(range(len(support))))):
        h, c = np.zeros(support.shape[1]), np.zeros(support.shape[1])
        for i in order:
            h, c = lstm_step(weights, support[i], h, c, suffix)
            outputs[i] += h
    g = support + outputs
    weights = {name: value.detach().numpy() for name, value in module.of_queries.named_parameters()}
    embedded = []
    for f in query:
        h, c = f, np.zeros_like(f)
        for _ in range(steps):
            read = softmax(g @ h) @ g
            output, c = lstm_step(weights, np.concatenate([f, read]), h, c)
            h = output + f
        embedded.append(h)
    return g, np.array(embedded)


@pytest.fixture
def episodes(rng):
    """Two episodes of three ways with supports in no order: features (2, 6, 64) and (2, 5, 64), labels (2, 6)."""
    support, query = rng.normal(size=(2, 6, 64)), rng.normal(size=(2, 5, 64))
    return support, np.array([[0, 1, 2, 0, 1, 2], [2, 2, 1, 0, 0, 1]]), query


@pytest.mark.parametrize(("full_context", "steps", "scale"), [(False, 5, 1.0), (True, 1, 100.0), (True, 3, 7.0)])
def test_scores_are_the_attention_of_the_paper(plain, episodes, full_context, steps, scale):
    network, _ = built(MATCHING, plain, full_context=full_context, processing_steps=steps, scale=scale)
    network = network.double()
    support, labels, query = episodes
    scores = network.compare(*map(torch.tensor, (support, labels, query)), 3).detach().numpy()
    for e in range(2):
        g, f = support[e], query[e]
        if full_context:
            g, f = in_context(network.in_context, g, f, steps)
        for q in range(5):
            np.testing.assert_allclose(np.exp(scores[e, q]), attention(g, labels[e], f[q], 3, scale), atol=1e-9)


def test_the_gradient_is_that_of_finite_differences(plain):
    network, _ = built(MATCHING, plain, full_context=True, processing_steps=2, scale=3.0)
    network.in_context = type(network.in_context)(4, 2)
    network = network.double()
    support, query = (torch.randn(1, n, 4, dtype=torch.float64, requires_grad=True) for n in (4, 3))
    labels = torch.tensor([[0, 1, 0, 1]])
    assert torch.autograd.gradcheck(lambda s, q: network.compare(s, labels, q, 2), (support, query))


def test_the_loss_is_the_cross_entropy_of_the_queries(plain):
    made = fitted(MATCHING, plain, images=12, full_context=False, scale=5.0, **SMALL)
    by_class = made.outputs[0].numpy().reshape(3, 4, -1)
    support, labels = by_class[:, :2].reshape(6, -1), np.repeat(np.arange(3), 2)
    total = [
        -np.log(attention(support, labels, by_class[label, 2 + q], 3, 5.0)[label]) for label in range(3) for q in (0, 1)
    ]
    assert made.losses[0] == pytest.approx(np.mean(total), rel=1e-4)
    assert made.trainer.images_seen == 12


@pytest.mark.parametrize("full_context", [False, True])
def test_it_learns_classes_that_have_nothing_in_common(plain, full_context):
    data = noise(plain)
    values = {"train_way": 4, "train_shot": 1, "train_query": 3, "schedule": "constant", "learning_rate": 3e-3}
    made = fitted(MATCHING, data, epochs=1, episodes_per_epoch=90, full_context=full_context, scale=20.0, **values)
    assert accuracy_on_base(made.network, data) > 0.8  # chance: 0.25


def test_episodes_of_other_shapes_are_scored(plain, rng):
    network, _ = built(MATCHING, plain)
    support, query = (torch.from_numpy(rng.integers(0, 256, (2, n, 16, 16, 3), dtype=np.uint8)) for n in (14, 3))
    labels = torch.arange(7).repeat_interleave(2).expand(2, -1)
    scores = network.eval().predict(EpisodeBatch(support, labels, query, 7))
    torch.testing.assert_close(scores.exp().sum(2), torch.ones(2, 3))

"""plugins/metric, siamese networks: pairs, the weighted distance by hand, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.fitting import accuracy_on_base, built, fitted, noise

harness_metric = pytest.importorskip("harness_metric", reason="harness-metric is not installed")
SIAMESE = harness_metric.SIAMESE
SMALL = {"width": 6, "schedule": "constant"}


def pairs(split, n=400, seed=0):
    from harness_metric.siamese_network import PairBatches

    (step,) = PairBatches(n, 1).epoch(split, np.random.default_rng(seed))
    return step[:n], step[n:]


def test_half_of_the_pairs_are_of_one_class_and_none_is_an_image_with_itself(tiny):
    first, second = pairs(tiny.train)
    labels = tiny.train.labels
    assert (labels[first] == labels[second]).mean() == 0.5
    assert not (first == second).any()


def test_every_image_may_stand_on_either_side_of_either_kind_of_pair(tiny):
    """Shuffled labels: an image's place within its class is not its place in the split."""
    order = np.random.default_rng(3).permutation(len(tiny.train))
    train = type(tiny.train)("train", tiny.train.images[order], tiny.train.labels[order], tiny.train.class_names, "x")
    first, second = pairs(train, 20_000)
    same = train.labels[first] == train.labels[second]
    assert same.mean() == 0.5
    for side in (first, second):
        for kind in (same, ~same):
            counts = np.bincount(side[kind], minlength=len(train))
            assert counts.min() > 0.5 * counts.mean()
            assert counts.max() < 1.7 * counts.mean()


def test_a_class_of_one_image_makes_a_pair_with_itself(tiny):
    few = type(tiny.train)("train", tiny.train.images[:3], np.array([0, 1, 1]), ("a", "b"), "x")
    first, second = pairs(few)
    assert (few.labels[first] == few.labels[second]).mean() == 0.5


def test_scores_are_mean_log_odds_of_weighted_l1_distances(plain, rng):
    network, _ = built(SIAMESE, plain, **SMALL)
    network = network.double()
    weights, bias = network.weigh.weight.detach().numpy()[0], float(network.weigh.bias.detach())
    assert (weights > 0).any()
    assert (weights < 0).any()
    support, query = rng.uniform(size=(2, 6, 6)), rng.uniform(size=(2, 4, 6))
    labels = np.array([[0, 1, 2, 0, 1, 2], [2, 2, 1, 0, 0, 1]])
    scores = network.compare(*map(torch.tensor, (support, labels, query)), 3).detach().numpy()
    for e in range(2):
        for q in range(4):
            for c in range(3):
                odds = [weights @ np.abs(query[e, q] - s) + bias for s in support[e][labels[e] == c]]
                assert scores[e, q, c] == pytest.approx(np.mean(odds))
    pair = network.log_odds(torch.tensor(query[0, :1]), torch.tensor(support[0, :1]))
    assert float(pair.detach()) == pytest.approx(weights @ np.abs(query[0, 0] - support[0, 0]) + bias)


def test_the_gradient_is_that_of_finite_differences(plain):
    network, _ = built(SIAMESE, plain, **SMALL)
    network = network.double()
    first, second = (torch.rand(3, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(network.log_odds, (first, second))


def test_the_loss_is_the_cross_entropy_of_whether_a_pair_is_of_one_class(plain):
    from harness_metric.siamese_network import PairBatches

    from harness.common.randomness import numpy_generator

    made = fitted(SIAMESE, plain, images=16, batch_pairs=8, learning_rate=1e-12, **SMALL)
    units = made.outputs[0].numpy()
    assert units.shape == (16, 6)
    assert units.min() > 0
    assert units.max() < 1
    step = next(PairBatches(8, 1).epoch(plain.train, numpy_generator(1, "order", 1, 0)))
    same = plain.train.labels[step[:8]] == plain.train.labels[step[8:]]
    weights, bias = made.network.weigh.weight.detach().numpy()[0], float(made.network.weigh.bias.detach())
    likely = 1 / (1 + np.exp(-(np.abs(units[:8] - units[8:]) @ weights + bias)))
    assert made.losses[0] == pytest.approx(-np.log(np.where(same, likely, 1 - likely)).mean(), rel=1e-4)


def test_it_learns_classes_that_have_nothing_in_common(plain):
    data = noise(plain)
    values = {"width": 64, "learning_rate": 3e-3, "schedule": "constant", "batch_pairs": 16}
    made = fitted(SIAMESE, data, epochs=1, pairs_per_epoch=100 * 16, **values)
    assert accuracy_on_base(made.network, data) > 0.8  # chance: 0.25

"""plugins/metric, the losses of metric learning: each is its paper's, by hand in numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

harness_metric = pytest.importorskip("harness_metric", reason="harness-metric is not installed")
D, CLASSES = 5, 4
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3])


@pytest.fixture
def features(rng):
    return rng.normal(size=(len(LABELS), D))


def criterion(loss, **values):
    from harness_metric.losses import criterion as make

    return make(harness_metric.METRIC.options(loss=loss, **values), D, CLASSES)


def value(module, features, labels=LABELS):
    return float(module(torch.tensor(features, dtype=torch.float32), torch.tensor(labels)).detach())


def cross_entropy(logits, labels=LABELS):
    highest = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
    return (log_sum - logits[np.arange(len(labels)), labels]).mean()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ── margins between classes ───────────────────────────────────────────────────────────────────────


def weights_of(module):
    return module.W.detach().double().numpy()  # (D, CLASSES)


def test_cosface_takes_its_margin_off_the_cosine(features):
    module = criterion("cosface", margin=0.3, scale=10)
    logits = unit(features) @ unit(weights_of(module).T).T
    logits[np.arange(8), LABELS] -= 0.3
    assert value(module, features) == pytest.approx(cross_entropy(10 * logits), rel=1e-5)


def test_arcface_adds_its_margin_to_the_angle(features):
    module = criterion("arcface", margin=20, scale=10)
    logits = unit(features) @ unit(weights_of(module).T).T
    angles = np.arccos(logits[np.arange(8), LABELS])
    assert (angles < math.radians(160)).all()
    logits[np.arange(8), LABELS] = np.cos(angles + math.radians(20))
    assert value(module, features) == pytest.approx(cross_entropy(10 * logits), rel=1e-4)


def psi(angle, m):
    """(-1)^k cos(m·θ) - 2k for θ in [kπ/m, (k+1)π/m]."""
    k = math.floor(angle * m / math.pi)
    return (-1) ** k * math.cos(m * angle) - 2 * k


@pytest.mark.parametrize(("loss", "normed"), [("l-softmax", False), ("sphereface", True)])
@pytest.mark.parametrize("steps", [0, 100, 10_000])
def test_a_multiplied_angle_sets_in_by_and_by(features, loss, normed, steps):
    module = criterion(loss)
    module.steps += steps
    weight = max(5, 1000 / (1 + 0.12 * steps))
    weights = weights_of(module)
    cosines = unit(features) @ unit(weights.T).T
    for i, label in enumerate(LABELS):
        target = psi(math.acos(cosines[i, label]), 4)
        cosines[i, label] = (weight * cosines[i, label] + target) / (1 + weight)
    lengths = np.linalg.norm(features, axis=1, keepdims=True) * (1 if normed else np.linalg.norm(weights, axis=0))
    assert value(module, features) == pytest.approx(cross_entropy(lengths * cosines), rel=1e-4)
    assert int(module.steps) == steps + 1
    assert "steps" in module.state_dict()


# ── centres ───────────────────────────────────────────────────────────────────────────────────────


def test_the_centre_loss_is_cross_entropy_and_distance_and_its_centres_follow(features):
    module = criterion("center", center_weight=0.3)
    centres = np.zeros((CLASSES, D))
    for step in range(3):
        batch, labels = features[step:], LABELS[step:]
        logits = batch @ module.classifier.weight.detach().numpy().T + module.classifier.bias.detach().numpy()
        distances = [((x - centres[label]) ** 2).sum() / 2 for x, label in zip(batch, labels, strict=True)]
        expected = cross_entropy(logits, labels) + 0.3 * np.mean(distances)
        assert value(module, batch, labels) == pytest.approx(expected, rel=1e-5)
        for label in range(CLASSES):  # eq. 4 of Wen et al., at the rate 0.5
            apart = centres[label] - batch[labels == label]
            centres[label] -= 0.5 * apart.sum(axis=0) / (1 + len(apart))
        np.testing.assert_allclose(module.centres.numpy(), centres, atol=1e-6)
    assert "centres" in module.state_dict()


# ── images of a batch against each other ──────────────────────────────────────────────────────────


def triplets():
    everything = itertools.product(range(8), repeat=3)
    return [(a, p, n) for a, p, n in everything if a != p and LABELS[a] == LABELS[p] != LABELS[n]]


def test_triplet_hard_takes_the_furthest_of_the_class_and_the_nearest_other(features):
    distance = np.linalg.norm(unit(features)[:, None] - unit(features)[None], axis=2)
    violations = []
    for a in range(8):
        furthest = max(distance[a, p] for p in range(8) if p != a and LABELS[p] == LABELS[a])
        nearest = min(distance[a, n] for n in range(8) if LABELS[n] != LABELS[a])
        violations.append(max(0, furthest - nearest + 0.5))
    expected = np.mean([v for v in violations if v > 0])  # the library's mean is over what is not 0
    assert value(criterion("triplet-hard", margin=0.5), features) == pytest.approx(expected, rel=1e-5)


def test_triplet_semi_hard_takes_negatives_within_the_margin_behind_the_positive(features):
    distance = np.linalg.norm(unit(features)[:, None] - unit(features)[None], axis=2)
    gaps = [distance[a, n] - distance[a, p] for a, p, n in triplets()]
    expected = np.mean([0.5 - gap for gap in gaps if 0 < gap < 0.5])
    assert value(criterion("triplet-semi-hard", margin=0.5), features) == pytest.approx(expected, rel=1e-5)


def test_n_pairs_tells_each_classs_positive_from_those_of_all_others(features):
    anchors, positives = features[::2], features[1::2]
    expected = cross_entropy(anchors @ positives.T / math.sqrt(D), np.arange(CLASSES))
    expected += 0.1 * np.mean((features**2).sum(axis=1)) / math.sqrt(D)
    assert value(criterion("n-pairs", norm_weight=0.1), features) == pytest.approx(expected, rel=1e-5)


def test_angular_bounds_the_angle_at_the_negative(features):
    x, tangent = unit(features), math.tan(math.radians(40)) ** 2
    losses = []
    for a, p in itertools.permutations(range(8), 2):
        if LABELS[a] == LABELS[p]:
            others = [n for n in range(8) if LABELS[n] != LABELS[a]]
            f = [4 * tangent * (x[a] + x[p]) @ x[n] - 2 * (1 + tangent) * x[a] @ x[p] for n in others]
            losses.append(math.log(1 + np.exp(f).sum()))
    assert value(criterion("angular", margin=40), features) == pytest.approx(np.mean(losses), rel=1e-5)
    assert value(criterion("angular", margin=40), 1e-3 * features) == pytest.approx(np.mean(losses), rel=1e-4)

"""plugins/finetune, the heads: what they fit to an episode is what torch.optim.SGD fits to it, one after another."""

from __future__ import annotations

import harness_finetune
import numpy as np
import pytest
import torch
from harness_finetune import heads
from torch import nn
from torch.nn import functional as F

from harness.testing import classifier_checks

SPECS = {spec.name: spec for spec in harness_finetune.harness_classifiers()}
E, WAY, D, QUERIES = 2, 5, 24, 20


def episodes(k_shot, dtype=torch.float64):
    """Supports in an order of their own in each episode; classes that overlap, so that predictions can be wrong."""
    generator = torch.Generator().manual_seed(k_shot)
    means = torch.randn(E, WAY, D, generator=generator, dtype=torch.float64)
    labels = torch.stack([torch.randperm(WAY * k_shot, generator=generator) % WAY for _ in range(E)])
    support = means.gather(1, labels[..., None].expand(-1, -1, D))
    support = support + torch.randn(support.shape, generator=generator, dtype=torch.float64)
    query = means.repeat_interleave(QUERIES // WAY, 1)
    query = query + torch.randn(query.shape, generator=generator, dtype=torch.float64)
    return support.to(dtype), labels, query.to(dtype)


def in_order_of_appearance(labels):
    return list(dict.fromkeys(labels.tolist()))


def linear(classes):
    """A layer, and the logits it gives; its initial weights are dealt to classes in the order of ``classes``."""
    layer = nn.Linear(D, WAY).double()
    weight, bias = heads.initial_weights(WAY, D)
    layer.weight.data[classes], layer.bias.data[classes] = weight.double(), bias.double()
    return layer, layer


def cosine(classes):
    """The same for torch's own weight norm: a direction and a length for each class."""
    layer = nn.Linear(D, WAY, bias=False).double()
    layer.weight.data[classes] = heads.initial_weights(WAY, D)[0].double()
    layer = nn.utils.parametrizations.weight_norm(layer, dim=0)
    return layer, lambda features: 2 * layer(features / features.norm(dim=1, keepdim=True))


def fitted_one_by_one(make, support, labels, query):
    scores = []
    for x, y, q in zip(support, labels, query, strict=True):
        layer, logits = make(in_order_of_appearance(y))
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001)
        for batch in heads.batches(len(y)):
            optimiser.zero_grad()
            F.cross_entropy(logits(x[batch]), y[batch]).backward()
            optimiser.step()
        scores.append(logits(q).detach())
    return torch.stack(scores)


@pytest.mark.parametrize("k_shot", [1, 2])
@pytest.mark.parametrize(("name", "make"), [("linear-sgd", linear), ("cosine-sgd", cosine)])
def test_all_episodes_at_once_are_each_fitted_as_by_torchs_sgd(name, make, k_shot):
    support, labels, query = episodes(k_shot)
    scores = SPECS[name].load()(support, labels, query, WAY)
    expected = fitted_one_by_one(make, support, labels, query)
    torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(scores.argmax(2), expected.argmax(2))
    in_float32 = SPECS[name].load()(support.float(), labels, query.float(), WAY)
    assert torch.equal(in_float32.argmax(2), expected.argmax(2))


@pytest.mark.parametrize("name", SPECS)
def test_a_head_keeps_the_contract_of_classifiers(name):
    checks = list(classifier_checks(SPECS[name]))
    assert checks
    assert [(check.claim, check.problem) for check in checks if check.problem] == []


@pytest.mark.parametrize("name", SPECS)
def test_the_supports_are_learned(name):
    support, labels, _ = episodes(3)
    scores = SPECS[name].load()(support, labels, support, WAY)
    assert (scores.argmax(2) == labels).double().mean() > 0.9


def test_a_pass_shows_each_support_once_in_batches_of_four():
    drawn = list(heads.batches(10))
    assert [len(batch) for batch in drawn] == 100 * [4, 4, 2]
    passes = [torch.cat(drawn[i : i + 3]).tolist() for i in range(0, 300, 3)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len({tuple(one) for one in passes}) > 90


def test_initial_weights_are_distributed_as_those_of_torchs_linear_layers():
    weight, bias = heads.initial_weights(40, 400)
    layer = nn.Linear(400, 40)
    for ours, torchs in ((weight, layer.weight), (bias, layer.bias)):
        quantiles = torch.linspace(0, 1, 5)
        gap = ours.flatten().quantile(quantiles) - torchs.detach().flatten().quantile(quantiles)
        assert gap.abs().max() < (0.002 if ours is weight else 0.03)
    assert np.isclose(weight.abs().max(), 0.05, rtol=1e-3)


def test_classes_are_ordered_by_their_first_support():
    labels = torch.tensor([[2, 2, 0, 1, 0], [0, 1, 2, 2, 2]])
    assert heads.order_of_appearance(labels, 3).tolist() == [[1, 2, 0], [0, 1, 2]]

"""plugins/metric, relation networks: the relation module pair by pair, its loss, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.helpers.fitting import accuracy_on_base, built, fitted, noise

harness_metric = pytest.importorskip("harness_metric", reason="harness-metric is not installed")
RELATION = harness_metric.RELATION


def relation_of_a_pair(module, of_class, of_query, padding):
    """Figure 2 of the paper for one pair of maps (C, H, W), concatenated."""
    maps = torch.cat([of_class, of_query])[None]
    for convolution, norm in ((module.first, module.first_norm), (module.second, module.second_norm)):
        maps = F.conv2d(maps, convolution.weight, convolution.bias, padding=padding)
        mean, variance = (value[:, None, None] for value in (norm.running_mean, norm.running_var))
        scale, shift = (value[:, None, None] for value in (norm.weight, norm.bias))
        maps = ((maps - mean) / (variance + norm.eps).sqrt() * scale + shift).clamp(min=0)
        maps = F.max_pool2d(maps, 2) if maps.shape[2] > 1 else maps
    hidden = (module.hidden.weight @ maps.flatten() + module.hidden.bias).clamp(min=0)
    return module.relation.weight[0] @ hidden + module.relation.bias[0]


@pytest.mark.parametrize(("side", "padding"), [(1, 1), (2, 1), (5, 1), (19, 0)])
def test_relations_are_those_of_concatenated_maps(side, padding):
    from harness_metric.relation_network import RelationModule

    module = RelationModule(3, side, width=4, hidden=5).double().eval()
    for norm in (module.first_norm, module.second_norm):
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            value.data.uniform_(0.5, 1.5)
    classes, query = (torch.randn(2, n, 3, side, side, dtype=torch.float64) for n in (3, 4))
    with torch.no_grad():
        relations = module(classes, query)  # (E, Q, n_way)
        for e in range(2):
            for q in range(4):
                for c in range(3):
                    expected = relation_of_a_pair(module, classes[e, c], query[e, q], padding)
                    torch.testing.assert_close(relations[e, q, c], expected)


def test_the_papers_maps_give_its_576_inputs_of_the_first_linear_layer():
    from harness_metric.relation_network import RelationModule

    assert RelationModule(64, 19, 64, 8).hidden.in_features == 576  # 64 maps of 3×3


def test_the_gradient_is_that_of_finite_differences():
    from harness_metric.relation_network import RelationModule

    module = RelationModule(2, 2, width=3, hidden=4).double().eval()
    classes, query = (torch.randn(1, n, 2, 2, 2, dtype=torch.float64, requires_grad=True) for n in (2, 3))
    assert torch.autograd.gradcheck(module, (classes, query))


def test_the_loss_is_the_squared_error_over_all_pairs_of_query_and_class(plain):
    made = fitted(RELATION, plain, images=12, train_way=3, train_shot=2, train_query=2, learning_rate=1e-12)
    maps = made.outputs[0].unflatten(0, (3, 4))  # class, image
    assert maps.shape[2:] == (64, 1, 1)
    module = made.network.relate.double()
    means = maps[:, :2].mean(1)
    with torch.no_grad():
        relations = module.train()(means[None], maps[:, 2:].flatten(0, 1)[None])[0].sigmoid().numpy()
    wanted = np.repeat(np.eye(3), 2, axis=0)
    assert made.losses[0] == pytest.approx(((relations - wanted) ** 2).mean(), rel=1e-4)


def test_it_learns_classes_that_have_nothing_in_common(plain):
    data = noise(plain)
    values = {"train_way": 4, "train_shot": 1, "train_query": 3, "schedule": "constant", "learning_rate": 3e-3}
    made = fitted(RELATION, data, epochs=1, episodes_per_epoch=100, **values)
    assert accuracy_on_base(made.network, data) > 0.8  # chance: 0.25
    assert accuracy_on_base(made.network, data, k_shot=3) > 0.8  # shots that it was not trained with


@pytest.mark.parametrize(("backbone", "shape"), [("conv4-np", (64, 4, 4)), ("resnet12", (640, 1, 1))])
def test_it_takes_the_maps_of_its_backbone(plain, backbone, shape):
    network, _ = built(RELATION, plain, backbone)
    assert network.eval()(torch.zeros(2, 3, 16, 16)).shape == (2, *shape)

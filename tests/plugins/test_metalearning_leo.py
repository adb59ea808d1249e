"""plugins/metalearning: LEO beside a plain loop written from the paper, and the gradients through its inner loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from harness_metalearning import LEO
from harness_metalearning.leo_network import LeoNetwork, PretrainedNetwork
from torch import nn

from harness.contract.learners import EpisodeBatch
from harness.contract.methods import BuildContext
from harness.testing import tiny_dataset
from tests.helpers.metalearning import QUERY, SHOT, WAY, accuracy, fitted_after, four_classes

SMALL = {"latents": 3, "latent_steps": 2, "weight_steps": 3, "latent_rate": 0.5, "weight_rate": 0.7}


class Flat(nn.Module):
    """Features that are the first five pixels."""

    n_features = 5

    def forward(self, images):
        return images.flatten(1)[:, :5]


def network(**values) -> LeoNetwork:
    torch.manual_seed(1)
    return LeoNetwork(BuildContext(tiny_dataset().spec, 20, LEO.options(**{**SMALL, **values}), Flat)).double()


def problem(n_way=3, k_shot=2, n_episodes=2):
    generator = torch.Generator().manual_seed(n_way + k_shot)
    support = torch.randn(n_episodes, n_way * k_shot, 5, generator=generator, dtype=torch.float64)
    return nn.functional.normalize(support, dim=2), torch.arange(n_way).repeat(n_episodes, k_shot)


def softmax_gradient(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of the cross-entropy in sum over classes, in mean over their shots, to class weights (N, D)."""
    exponentials = np.exp(x @ weights.T)
    residual = exponentials / exponentials.sum(1, keepdims=True) - np.eye(len(weights))[y]
    return residual.T @ x * len(weights) / len(x)


@pytest.mark.parametrize(("n_way", "k_shot"), [(3, 2), (4, 1)])
def test_class_weights_are_those_of_a_plain_loop_over_episodes(n_way, k_shot):
    """Section 2.3 in numpy, with the gradients of softmax regression by hand."""
    leo = network().eval()
    support, labels = problem(n_way, k_shot)
    with torch.no_grad():
        weights, _ = leo.adapt(support, labels, n_way)
    encoder, decoder = (layer.weight.detach().numpy() for layer in (leo.encoder, leo.decoder))
    first, second, third = (layer.weight.detach().numpy() for layer in (leo.relation[i] for i in (0, 2, 4)))
    for e in range(len(support)):
        x, y = support[e].numpy(), labels[e].numpy()
        codes = x @ encoder.T
        means = np.zeros((n_way, 3))
        for i, of_class in enumerate(y):
            for other in range(len(y)):
                pair = np.concatenate([codes[i], codes[other]])
                said = third @ np.maximum(second @ np.maximum(first @ pair, 0), 0)
                means[of_class] += said[:3] / (k_shot * len(y))
        z = means
        for _ in range(2):
            z = z - 0.5 * softmax_gradient(x, y, z @ decoder[:5].T) @ decoder[:5]
        w = z @ decoder[:5].T
        for _ in range(3):
            w = w - 0.7 * softmax_gradient(x, y, w)
        np.testing.assert_allclose(weights[e].numpy(), w, atol=1e-6)


def test_gradients_through_both_inner_loops_are_finite_differences():
    """Of all that is learned, learning rates too; nothing is drawn, for it would be drawn anew."""
    leo = network(dropout=0.0).train()
    leo.drawn = lambda said, least: (said.chunk(2, dim=-1)[0], said.new_zeros(()))
    support, labels = problem(n_episodes=1)
    query = problem(k_shot=1, n_episodes=1)[0]
    learned = {name: weight for name, weight in leo.named_parameters() if weight.requires_grad}
    assert {"latent_rate", "weight_rate", "encoder.weight", "decoder.weight"} < set(learned)

    def loss():
        weights, _ = leo.adapt(support, labels, 3)
        return nn.functional.cross_entropy((query @ weights.mT)[0], torch.arange(3))

    gradients = dict(zip(learned, torch.autograd.grad(loss(), learned.values()), strict=True))
    generator = torch.Generator().manual_seed(0)
    for name, weight in learned.items():
        direction = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        values = []
        for step in (1e-5, -2e-5):
            weight.data += step * direction
            values.append(loss().item())
        weight.data += 1e-5 * direction
        slope = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(float((gradients[name] * direction).sum()), rel=1e-4, abs=1e-8), name


def test_drawn_values_have_the_deviations_that_are_said_and_their_divergence():
    leo = network().train()
    mean, logarithm = torch.tensor([0.3, -1.0]).double(), torch.tensor([0.5, -9.0]).double()
    said = torch.cat([mean, logarithm]).expand(20_000, 4)
    values, divergence = leo.drawn(said, 0.2)
    deviation = math.exp(0.5) - 0.8  # the other is below 0, and so as good as none
    assert values[:, 0].mean() == pytest.approx(0.3, abs=0.03)
    assert values[:, 0].std() == pytest.approx(deviation, rel=0.03)
    assert values[:, 1].std() < 1e-9
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, torch.tensor([deviation, 1e-10])), torch.distributions.Normal(0.0, 1.0)
    )
    assert divergence == pytest.approx(expected.mean().item(), rel=1e-6)


def test_correlated_rows_of_the_decoder_cost_and_orthogonal_ones_do_not():
    leo = network()
    with torch.no_grad():
        leo.decoder.weight.copy_(2 * torch.eye(10, 3, dtype=torch.float64))
        assert leo.correlation() == pytest.approx(0)
        leo.decoder.weight[:, 1] = leo.decoder.weight[:, 0]
        assert leo.correlation() == pytest.approx(2 / 9)  # two of nine pairs are alike


def test_a_query_is_judged_by_itself_and_episodes_of_any_way_are():
    leo = network().eval()
    rng = np.random.default_rng(0)
    support, query = (torch.from_numpy(rng.integers(0, 256, (2, n, 4, 4, 3), dtype=np.uint8)) for n in (8, 5))
    leo = leo.float()
    scores = leo.predict(EpisodeBatch(support, torch.arange(4).repeat(2, 2), query, 4))
    alone = leo.predict(EpisodeBatch(support[:1], torch.arange(4).repeat(1, 2), query[:1, 3:4], 4))
    torch.testing.assert_close(scores[:1, 3:4], alone)
    assert scores.shape == (2, 5, 4)


def test_it_learns_a_few_classes_on_the_features_of_its_pretraining(plain):
    data = four_classes(plain)
    values = {"epochs": 30, "leo_epochs": 40, "learning_rate": 0.05, "leo_learning_rate": 3e-3, "batch_size": 20}
    shape = {"train_way": WAY, "train_shot": SHOT, "train_query": QUERY, "leo_steps": 1, "meta_batch": 4}
    options = {**values, **shape, "schedule": "constant", "leo_selection": "last", "dropout": 0.0, "latents": 16}
    pretrained, fitted = fitted_after(LEO, data, clip=1.0, weight_rate=0.01, **options)
    assert isinstance(pretrained.learner, PretrainedNetwork)
    before, after = (stage.learner.backbone.state_dict() for stage in (pretrained, fitted))
    assert all(torch.equal(before[name], after[name]) for name in before)
    losses = [row["classified"] for row in fitted.trainer.history]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert accuracy(fitted.learner, data) > 0.8


def test_presets_of_tiered_imagenet_differ_from_those_of_mini_imagenet():
    for name in ("paper", "paper-5-shot"):
        preset = LEO.presets[name]
        assert set(preset.per_dataset["tieredImageNet"]) < set(preset.values) | {"train_shot"}
    assert replace(LEO.presets["paper"], values={}).per_dataset["tieredImageNet"]["kl_weight"] == 2.034e-3

"""plugins/metalearning: Meta-LSTM beside a plain loop over coordinates, and which gradients it takes for constants."""

from __future__ import annotations

import math

import numpy as np
import torch
from harness_metalearning import META_LSTM
from harness_metalearning.meta_lstm_network import MetaLstm, preprocessed
from torch import nn

from harness.contract.methods import BuildContext
from harness.networks.backbones.conv4 import Conv4
from harness.testing import tiny_dataset
from tests.helpers.metalearning import Fitted, accuracy, four_classes

SMALL = {"train_way": 3, "updates": 3, "hidden": 4, "input_gate": 0.2, "forget_gate": 0.9}


class Flat(nn.Module):
    """Features (N, 2) that are a linear layer of the first four pixels."""

    n_features = 2

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, images):
        return self.layer(images.flatten(1)[:, :4])


def network(**values) -> MetaLstm:
    torch.manual_seed(1)
    made = MetaLstm(BuildContext(tiny_dataset().spec, 20, META_LSTM.options(**{**SMALL, **values}), Flat)).double()
    with torch.no_grad():  # gates that say something
        for weight in (*made.lstm.parameters(), made.gates.weight, made.own):
            weight.mul_(50)
    return made


def episodes(n_episodes=2, n_query=4):
    generator = torch.Generator().manual_seed(2)
    support = torch.randn(n_episodes, 6, 3, 4, 4, generator=generator, dtype=torch.float64)
    query = torch.randn(n_episodes, n_query, 3, 4, 4, generator=generator, dtype=torch.float64)
    return support, torch.arange(3).repeat(n_episodes, 2), query


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def prepared(x: float) -> list[float]:
    return [math.log(abs(x)) / 10, math.copysign(1, x)] if abs(x) >= math.exp(-10) else [-1.0, math.exp(10) * x]


def test_logits_are_those_of_a_plain_loop_over_updates_and_coordinates():
    """Sections 3.2 to 3.4 in numpy: gradients of the two linear layers by hand, an LSTM for each weight."""
    ours = network().eval()
    support, labels, query = episodes()
    logits = ours(support, labels, query, 3).detach().numpy()
    w_ih, w_hh, b_ih, b_hh = (weight.detach().numpy() for weight in ours.lstm.parameters())
    gates, bias, own = (x.detach().numpy() for x in (ours.gates.weight, ours.gates.bias, ours.own))
    layers = (ours.backbone.layer.weight, ours.backbone.layer.bias, ours.head.weight, ours.head.bias)
    shapes = [layer.shape for layer in layers]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    for e in range(2):
        x, y = support[e].flatten(1)[:, :4].numpy(), labels[e].numpy()
        theta = np.concatenate([layer.detach().numpy().ravel() for layer in layers])
        hidden, cell, before = np.zeros((len(theta), 4)), np.zeros((len(theta), 4)), np.zeros((len(theta), 2))

        def split(theta=theta):
            return [part.reshape(shape) for part, shape in zip(np.split(theta, ends[:-1]), shapes, strict=True)]

        for _ in range(3):
            w1, b1, w2, b2 = split(theta)
            features = x @ w1.T + b1
            exponentials = np.exp(features @ w2.T + b2)
            share = exponentials / exponentials.sum(1, keepdims=True)
            loss = -np.log(share[np.arange(6), y]).mean()
            residual = (share - np.eye(3)[y]) / 6
            back = residual @ w2
            gradient = np.concatenate(
                [(back.T @ x).ravel(), back.sum(0), (residual.T @ features).ravel(), residual.sum(0)]
            )
            for p in range(len(theta)):
                seen = np.array([*prepared(loss), *prepared(gradient[p])])
                i, f, g, o = np.split(w_ih @ seen + b_ih + w_hh @ hidden[p] + b_hh, 4)
                cell[p] = sigmoid(f) * cell[p] + sigmoid(i) * np.tanh(g)
                hidden[p] = sigmoid(o) * np.tanh(cell[p])
                before[p] = sigmoid(gates @ np.append(hidden[p], theta[p]) + bias + own * before[p])
                theta[p] = before[p][0] * theta[p] - before[p][1] * gradient[p]
        w1, b1, w2, b2 = split(theta)
        expected = (query[e].flatten(1)[:, :4].numpy() @ w1.T + b1) @ w2.T + b2
        np.testing.assert_allclose(logits[e], expected, rtol=1e-5, atol=1e-6)


def test_gradients_of_the_supports_are_constants_and_all_else_is_differentiated():
    """Against finite differences of the gates' biases, with the supports' gradients kept as they were."""
    ours = network().train()
    support, labels, query = episodes(1)
    kept, descent = [], ours.descent

    def recorded(*arguments):
        kept.append(descent(*arguments))
        return kept[-1]

    def loss():
        return nn.functional.cross_entropy(ours(support, labels, query, 3)[0], torch.tensor([0, 1, 2, 0]))

    ours.descent = recorded
    loss().backward()
    for weight in (ours.gates.bias, ours.lstm.bias_ih, ours.head.bias, ours.backbone.layer.weight):
        slopes = torch.zeros_like(weight)
        for place in range(weight.numel()):
            values = []
            for step in (1e-6, -2e-6):
                weight.data.view(-1)[place] += step
                replay = iter(kept)
                ours.descent = lambda *arguments, replay=replay: next(replay)
                values.append(loss().item())
            weight.data.view(-1)[place] += 1e-6
            slopes.view(-1)[place] = (values[0] - values[1]) / 2e-6
        torch.testing.assert_close(weight.grad, slopes, rtol=1e-4, atol=1e-8)


def test_at_first_the_gates_are_those_of_gradient_descent_with_decay():
    torch.manual_seed(0)
    options = META_LSTM.options(**{**SMALL, "updates": 1, "input_gate": 0.3, "forget_gate": 0.99})
    ours = MetaLstm(BuildContext(tiny_dataset().spec, 20, options, Flat)).double().eval()
    support, labels, _ = episodes(1)
    start = {f"head.{name}": weight for name, weight in ours.head_weights(3).items()}
    start |= {f"backbone.{name}": weight for name, weight in ours.backbone.named_parameters()}
    images = support[0].flatten(1)[:, :4]
    scores = ours.head(ours.backbone.layer(images))
    gradient = torch.autograd.grad(nn.functional.cross_entropy(scores, labels[0]), ours.head.weight)[0]
    fitted = ours.adapt(start, support, labels)["head.weight"][0]
    torch.testing.assert_close(fitted, 0.99 * ours.head.weight - 0.3 * gradient, rtol=0.02, atol=0.02)


def test_tiny_values_are_enlarged_and_others_are_logarithms():
    values = [0.5, -2.0, 1e-3, -1e-9, 0.0]
    expected = torch.tensor([prepared(value) if value else [-1.0, 0.0] for value in values], dtype=torch.float64)
    torch.testing.assert_close(preprocessed(torch.tensor(values, dtype=torch.float64)), expected)


def test_it_learns_a_few_classes(plain):
    data = four_classes(plain)
    values = {"updates": 2, "input_gate": 0.1, "forget_gate": 0.999, "hidden": 4, "clip": 10.0, "learning_rate": 0.01}
    fitted = Fitted(META_LSTM, data, lambda: Conv4(16, width=8), epochs=40, **values)
    assert accuracy(fitted.learner, data) > 0.8


def test_half_precision_gives_about_the_same():
    """With BatchNorm in the network, whose maps are then in bfloat16 and its weights, of each episode, not."""
    torch.manual_seed(1)
    options = META_LSTM.options(**SMALL)
    ours = MetaLstm(BuildContext(tiny_dataset().spec, 20, options, lambda: Conv4(16, width=8))).train()
    images = torch.randn(2, 10, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    parts = images[:, :6], torch.arange(3).repeat(2, 2), images[:, 6:], 3
    exact = ours(*parts)
    with torch.autocast("cpu", torch.bfloat16):
        half = ours(*parts)
    torch.testing.assert_close(half, exact, rtol=0.2, atol=0.2)
    half.square().mean().backward()
    assert ours.head.weight.grad.isfinite().all()

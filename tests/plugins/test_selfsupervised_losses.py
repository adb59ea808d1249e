"""plugins/selfsupervised: its losses against loops in float64 and finite differences, LARS against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness_selfsupervised.lars import Lars
from harness_selfsupervised.losses import mean_discrepancy, similarity_distillation

from harness.training.contrastive import nt_xent
from tests.helpers.selfsupervised import log_softmax, normalised, random


def test_nt_xent_is_its_double_loop():
    a, b = random(2, 5, 6).numpy()
    z = normalised(np.concatenate([a, b]))
    total = 0.0
    for i in range(10):
        others = sum(np.exp(z[i] @ z[k] / 0.3) for k in range(10) if k != i)
        total -= np.log(np.exp(z[i] @ z[(i + 5) % 10] / 0.3) / others)
    assert float(nt_xent(torch.tensor(a), torch.tensor(b), 0.3)) == pytest.approx(total / 10, rel=1e-12)


def test_similarities_are_distilled_as_in_a_double_loop():
    s1, s2, t1, t2 = random(4, 5, 6)
    student, teacher = (
        log_softmax(normalised(first.numpy()) @ normalised(second.numpy()).T / 0.2)
        for first, second in ((s1, s2), (t1, t2))
    )
    total = 0.0
    for i in range(5):
        for j in range(5):
            total += np.exp(teacher[i, j]) * (teacher[i, j] - student[i, j])
    found = float(similarity_distillation((s1, s2), (t1, t2), 0.2))
    assert found == pytest.approx(total / 25, rel=1e-12)
    assert found > 0
    assert float(similarity_distillation((s1, s2), (s1, s2), 0.2)) == pytest.approx(0, abs=1e-15)


def test_the_discrepancy_is_mmd_with_a_linear_kernel():
    a, b = random(2, 7, 4).numpy()
    kernels = [np.mean([[x @ y for x in first] for y in second]) for first, second in ((a, a), (b, b), (a, b))]
    expected = kernels[0] + kernels[1] - 2 * kernels[2]
    assert float(mean_discrepancy(torch.tensor(a), torch.tensor(b))) == pytest.approx(expected, rel=1e-10)


TEACHER = random(2, 4, 3, seed=2)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: nt_xent(a, b, 0.5),
        lambda a, b: similarity_distillation((a, b), tuple(TEACHER), 0.5),
        mean_discrepancy,
    ],
    ids=["nt_xent", "similarities", "discrepancy"],
)
def test_gradients_are_those_of_finite_differences(loss):
    a, b = (random(4, 3, seed=seed, requires_grad=True) for seed in range(2))
    assert torch.autograd.gradcheck(loss, (a, b))


def test_no_gradient_reaches_the_teacher_of_similarities():
    s1, s2, t1, t2 = (random(4, 3, seed=seed, requires_grad=True) for seed in range(4))
    similarity_distillation((s1, s2), (t1, t2), 0.5).backward()
    assert t1.grad is None
    assert t2.grad is None
    assert s1.grad.abs().sum() > 0


def test_lars_scales_each_layers_step_but_biases():
    layer = torch.nn.Linear(3, 2, dtype=torch.float64)
    optimiser = Lars(0.5, momentum=0.9, weight_decay=0.1)(layer)
    w, b = layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
    v, u = np.zeros_like(w), np.zeros_like(b)
    for step in range(3):
        dw, db = random(2, 3, seed=step).numpy(), random(2, seed=step).numpy()
        layer.weight.grad, layer.bias.grad = torch.tensor(dw), torch.tensor(db)
        optimiser.step()
        direction = dw + 0.1 * w
        v = 0.9 * v + 0.5 * 0.001 * np.linalg.norm(w) / np.linalg.norm(direction) * direction
        u = 0.9 * u + 0.5 * db
        w, b = w - v, b - u
        np.testing.assert_allclose(layer.weight.detach().numpy(), w, rtol=1e-12)
        np.testing.assert_allclose(layer.bias.detach().numpy(), b, rtol=1e-12)


def test_lars_moves_a_layer_of_zeros():
    layer = torch.nn.Linear(3, 2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    optimiser = Lars(0.5)(layer)
    layer.weight.grad = torch.ones(2, 3)
    optimiser.step()
    assert torch.equal(layer.weight, torch.full((2, 3), -0.5))

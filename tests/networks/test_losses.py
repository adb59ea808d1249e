"""harness/networks/losses.py against arithmetic that shares nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.networks.losses import distillation


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p ‖ q), summed over classes, averaged over rows."""
    return float((p * np.log(p / q)).sum(axis=1).mean())


def logits(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (6, 5))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_distillation_is_the_divergence_of_the_student_from_the_teacher(temperature):
    student, teacher = logits(0), logits(1)
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    found = float(distillation(torch.tensor(student), torch.tensor(teacher), temperature))
    assert found == pytest.approx(temperature**2 * divergence(p, q), rel=1e-9)
    assert found != pytest.approx(temperature**2 * divergence(q, p), rel=1e-2)  # the other direction


def test_distillation_averages_over_the_batch_and_not_over_classes():
    student, teacher = torch.tensor(logits(0)), torch.tensor(logits(1))
    each = [float(distillation(student[i : i + 1], teacher[i : i + 1], 4.0)) for i in range(6)]
    assert float(distillation(student, teacher, 4.0)) == pytest.approx(np.mean(each))
    by_hand = divergence(softmax(logits(1)[:1]), softmax(logits(0)[:1]))
    assert float(distillation(student[:1], teacher[:1], 1.0)) == pytest.approx(by_hand)


def test_distillation_of_equal_logits_is_zero_with_a_zero_gradient():
    student = torch.tensor(logits(0), requires_grad=True)
    loss = distillation(student, torch.tensor(logits(0)), 4.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12


def test_distillation_keeps_the_size_of_gradients_over_temperatures():
    sizes = []
    for temperature in (8.0, 16.0, 32.0):
        student = torch.tensor(logits(0), requires_grad=True)
        distillation(student, torch.tensor(logits(1)), temperature).backward()
        assert student.grad is not None
        sizes.append(float(student.grad.norm()))
    assert max(sizes) < 1.2 * min(sizes)


def test_distillation_stays_finite_where_a_probability_underflows():
    student = torch.tensor([[0.0, 500.0]], requires_grad=True)
    loss = distillation(student, torch.tensor([[500.0, 0.0]]), 1.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(500, rel=1e-3)
    assert student.grad is not None
    assert student.grad.isfinite().all()

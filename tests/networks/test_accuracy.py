"""harness/networks/accuracy.py: training accuracies, against sorted logits."""

from __future__ import annotations

import pytest
import torch

from harness.networks.accuracy import top_accuracies


def test_they_are_the_shares_of_labels_among_the_highest_logits():
    logits, labels = torch.randn(200, 9), torch.randint(0, 9, (200,))
    ranked = logits.argsort(dim=1, descending=True)
    shares = top_accuracies(logits, labels)
    for k in (1, 5):
        right = [int(label) in row[:k].tolist() for row, label in zip(ranked, labels, strict=True)]
        assert float(shares[f"top{k}"]) == pytest.approx(sum(right) / 200)


def test_a_network_that_answers_everything_alike_is_never_right():
    assert top_accuracies(torch.zeros(4, 9), torch.arange(4)) == {"top1": 0.0, "top5": 0.0}


def test_five_of_four_classes_say_nothing():
    logits = torch.eye(4, requires_grad=True)
    shares = top_accuracies(logits, torch.arange(4), "rotation_")
    assert shares == {"rotation_top1": 1.0}
    assert not shares["rotation_top1"].requires_grad

"""How often a classifier is right while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def top_accuracies(logits: torch.Tensor, labels: torch.Tensor, prefix: str = "") -> dict[str, torch.Tensor]:
    """``top1`` and ``top5``, scalars 0..1: the share of labels that have the highest logit, or one of the five highest.

    For the dictionary that a loss function returns: their means over an epoch are logged, and decide nothing. Where
    there are no more than five classes, ``top5`` would always be 1 and is left out. A tie counts as wrong, so that a
    network that answers everything alike has 0. Costs a comparison of the logits; nothing waits for the device.

    Args:
        logits: (B, n_classes).
        labels: (B,) int64.
        prefix: of the names, where a network has several heads: ``rotation_`` for ``rotation_top1``.
    """
    logits = logits.detach()
    above = (logits >= logits.gather(1, labels[:, None])).sum(1)  # (B,): classes no lower than the label's, itself one
    tops = (1, 5) if logits.shape[1] > 5 else (1,)
    return {f"{prefix}top{k}": (above <= k).float().mean() for k in tops}

"""The training that these methods begin with: cross-entropy on the base classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import harness

if TYPE_CHECKING:
    import torch

# What quick presets train with, whatever their papers do: the optimiser of the other families' quick presets.
QUICK_TRAINING = {
    **harness.QUICK,
    "optimiser": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 64,
    "selection": "last",
}


def build(context: harness.BuildContext) -> Any:
    """A backbone with a linear layer to the base classes."""
    from harness import ClassifierNetwork

    return ClassifierNetwork(context)


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train ``learner``, which returns features and logits, by cross-entropy on the base classes."""
    context.trainer.run(learner, cross_entropy, context.options.recipe())


def cross_entropy(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
    from torch.nn import functional as F

    _, logits = network(batch.images)
    return {"loss": F.cross_entropy(logits, batch.labels)}

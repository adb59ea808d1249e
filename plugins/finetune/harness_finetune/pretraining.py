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
QUICK_TRAINING_PER_DATASET = {
    **harness.QUICK_PER_DATASET,
    "glyphs": {**harness.QUICK_PER_DATASET["glyphs"], "batch_size": 32},
}


def build(context: harness.BuildContext) -> Any:
    """A backbone with a linear layer to the base classes."""
    from harness import ClassifierNetwork

    return ClassifierNetwork(context)


def fit(context: harness.FitContext, learner: Any, recipe: harness.Recipe | None = None) -> None:
    """Train ``learner``, which returns features and logits, by cross-entropy on the base classes.

    Args:
        recipe: in place of the one that the options describe.
    """
    from torch.nn import functional as F

    from harness import top_accuracies

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        _, logits = network(batch.images)
        return {"loss": F.cross_entropy(logits, batch.labels), **top_accuracies(logits, batch.labels)}

    context.trainer.run(learner, loss, recipe or context.options.recipe())

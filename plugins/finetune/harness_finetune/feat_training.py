"""The stage feat: episodes of adapted class means, and a contrastive loss that keeps adapted classes apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import harness
from harness import Batch, EpisodicBatches
from harness_finetune.episodes import class_means, selected_on, start_from
from harness_finetune.feat_network import closeness


def fit(context: harness.FitContext, learner: Any) -> None:
    """Train episodes, one a step, from the weights of pretrain; their images are not augmented."""
    options = context.options
    start_from(learner, *context.parents)

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        support, query = episodes.split(network(batch.images))  # (1, n_way·k_shot, D), (1, n_way·n_query, D)
        means = network.transformer(class_means(support, episodes.n_way))
        logits = closeness(query, means) / options.temperature
        classified = F.cross_entropy(logits.flatten(0, 1), episodes.query_labels.flatten())
        if not options.balance:
            return {"loss": classified}
        classes = torch.cat([part.unflatten(1, (episodes.n_way, -1)) for part in (support, query)], dim=2)
        apart = contrastive(network.transformer, classes, options.contrastive_temperature)
        return {"loss": classified + options.balance * apart, "classified": classified, "contrastive": apart}

    batches = EpisodicBatches(options.train_way, options.train_shot, options.train_query, options.feat_steps)
    recipe = options.recipe(
        "feat_", batches=batches, augmentation=harness.Augmentation(), optimiser=optimiser_of(options)
    )
    context.trainer.run(learner, loss, selected_on(recipe, k_shot=options.train_shot))


def contrastive(transformer: nn.Module, classes: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of all images against the centres of their classes, each adapted to itself alone; a scalar.

    Args:
        classes: (E, n_way, N, D), features of the images of each class, supports and queries.
    Source: arXiv:1812.03664, section 3.4, equation 7.
    """
    n_episodes, n_way, n_images, _ = classes.shape
    centres = transformer(classes.flatten(0, 1)).mean(1).unflatten(0, (n_episodes, n_way))  # (E, n_way, D)
    logits = closeness(classes.flatten(1, 2), centres) / temperature  # (E, n_way·N, n_way)
    labels = torch.arange(n_way, device=classes.device).repeat_interleave(n_images).repeat(n_episodes)
    return F.cross_entropy(logits.flatten(0, 1), labels)


def optimiser_of(options: Any) -> Any:
    """What makes the optimiser: the transformer learns ``transformer_rate`` times as fast as the backbone."""

    def make(network: Any) -> torch.optim.Optimizer:
        groups = [
            {"params": list(network.backbone.parameters()), "lr": options.feat_learning_rate},
            {
                "params": list(network.transformer.parameters()),
                "lr": options.feat_learning_rate * options.transformer_rate,
            },
        ]
        if options.optimiser == "adam":
            return torch.optim.Adam(groups, weight_decay=options.weight_decay)
        return torch.optim.SGD(
            groups, momentum=options.momentum, weight_decay=options.weight_decay, nesterov=options.momentum > 0
        )

    return make

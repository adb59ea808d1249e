"""Episodic training of prototypical networks."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch.nn import functional as F

import harness
from harness import Batch, EpisodicBatches, of_all_processes

if TYPE_CHECKING:
    import torch


def prototypical_classifier() -> type[Any]:
    """learn2learn's PrototypicalClassifier; what its imports print (a notice of gym's) does not reach the user."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        from learn2learn.nn import PrototypicalClassifier
    return PrototypicalClassifier


def fit(context: harness.FitContext, learner: Any) -> None:
    """Each step is an episode of base classes: class means of its supports, cross-entropy of its queries."""
    options = context.options
    classifier = prototypical_classifier()()
    batches = EpisodicBatches(
        options.train_way, options.train_shot, options.train_query, options.episodes_per_epoch, divisible=True
    )

    def loss(network: Any, batch: Batch) -> dict[str, torch.Tensor]:
        episode = batch.episodes
        assert episode is not None
        features, _ = of_all_processes(network(batch.images))  # (B, D), the whole episode in every process
        (support,), (query,) = episode.split(features)
        # Not by fit_(), which looks for the labels that are there and so waits for a GPU once a class.
        classifier.prototypes = support.unflatten(0, (episode.n_way, -1)).mean(1)  # (n_way, D)
        return {"loss": F.cross_entropy(classifier(query), episode.query_labels[0])}

    recipe = options.recipe(batches=batches)
    if recipe.selection is not None:
        shot, n_episodes = options.train_shot, options.selection_episodes
        recipe = replace(recipe, selection=replace(recipe.selection, k_shot=shot, n_episodes=n_episodes))
    context.trainer.run(learner, loss, recipe)

"""Accuracies of learners that adapt to an episode and classify its queries themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.common.randomness import torch_generator
from harness.contract.learners import EpisodeBatch, EpisodicLearner
from harness.evaluation.scoring import Measure, accuracies, shuffled_queries, slices, support_labels

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes
    from harness.evaluation.embed import ViewSource

EPISODIC_IMAGES = 2048  # of 32×32 pixels that an episodic learner is handed at once
Autocast = Callable[[], AbstractContextManager[Any]]


def score_episodic(
    learner: EpisodicLearner,
    source: ViewSource,
    episodes: Episodes,
    autocast: Autocast = nullcontext,
    measure: Measure = accuracies,
) -> np.ndarray:
    """Accuracies (E,) float64 of a learner that classifies queries itself, supports in all views of ``source``.

    It is handed many episodes at once, with gradients allowed, and for each a generator that depends on the source's
    seed and the episode's number alone, so that no chunk's size and no other episode decides what it draws.
    """
    query, query_labels = shuffled_queries(episodes)
    support = np.repeat(episodes.support.reshape(len(episodes), -1), source.views, axis=1)  # (E, S)
    views = np.tile(np.arange(source.views), support.shape[1] // source.views)  # (S,)
    labels = support_labels(episodes, source.views, source.device)
    shape, names = source.split.images.shape[1:], source.split.class_names
    values = []
    most = EPISODIC_IMAGES * 32 * 32 // (shape[0] * shape[1])
    for part in slices(len(episodes), most // (support.shape[1] + query.shape[1])):
        n = len(query[part])
        batch = EpisodeBatch(
            source.read(support[part].reshape(-1), np.tile(views, n)).reshape(n, -1, *shape),
            labels.expand(n, -1).contiguous(),
            source.read(query[part].reshape(-1), np.zeros(query[part].size, int)).reshape(n, -1, *shape),
            episodes.spec.n_way,
            [torch_generator(source.device, source.seed, "adapt", number) for number in range(len(episodes))[part]],
            [[names[label] for label in classes] for classes in episodes.classes[part]],
        )
        with torch.enable_grad(), autocast():
            scores = learner.predict(batch)
        name = f"{type(learner).__name__}.predict()"
        values.append(measure(name, scores, query_labels[part], episodes, part))
    return np.concatenate(values)

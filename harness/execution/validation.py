"""A network measured on validation episodes while it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.contract.episodes import EpisodeSpec
from harness.episodes.plan import EpisodePlan
from harness.evaluation.scoring import accuracies, cross_entropies

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.episodes import Episodes
    from harness.contract.recipe import Selection
    from harness.evaluation.evaluator import Evaluator
    from harness.evaluation.heads import LoadedHead


@dataclass(frozen=True)
class Validator:
    """Calling it with a network and a selection returns the mean accuracy, 0..1, or the mean loss."""

    split: Split
    evaluator: Callable[[Any], Evaluator]  # of a network, on ``split``
    head: LoadedHead | None

    def __call__(self, network: Any, selection: Selection) -> float:
        measure = cross_entropies if selection.measure == "loss" else accuracies
        episodes = [self.episodes(selection)]  # drawn here: many a validation split is too small for a test's
        ((values, _),) = self.evaluator(network).measured(episodes, self.head, measure)
        return float(values.mean())

    def episodes(self, selection: Selection) -> Episodes:
        """The same episodes each time, with fewer classes and queries where there are not as many."""
        smallest = int(np.bincount(self.split.labels, minlength=self.split.n_classes).min())
        n_query = max(1, min(selection.n_query, smallest - selection.k_shot))
        spec = EpisodeSpec(min(selection.n_way, self.split.n_classes), selection.k_shot, n_query)
        (episodes,) = EpisodePlan((spec,), selection.n_episodes, seed=0, targets=("closed",)).sample(self.split)
        return episodes

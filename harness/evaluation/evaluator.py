"""A learner scored on many episodes: by a head where it embeds images, else by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.common.errors import HarnessError, PluginError
from harness.contract.heads import BaseStatistic, BaseStatistics
from harness.contract.learners import Embedder, EpisodicLearner
from harness.contract.results import Score, label_type
from harness.evaluation import cache
from harness.evaluation.base import chosen_images, statistics
from harness.evaluation.embed import NO_AUGMENTATION, Embedding, Progress, ViewSource, embed, silent, used_pairs
from harness.evaluation.episodic import score_episodic
from harness.evaluation.kept import file_name
from harness.evaluation.logits import LogitsOf
from harness.evaluation.scoring import Measure, accuracies, answers, query_order, score, spread

if TYPE_CHECKING:
    from harness.contract.data import Augmentation, Split
    from harness.contract.episodes import Episodes
    from harness.evaluation.heads import LoadedHead

Autocast = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, eq=False)
class _Part:
    """What was measured on episodes of one shape."""

    which: np.ndarray  # (e,) int64: their numbers among all
    episodes: Episodes
    values: np.ndarray  # (e,)
    feature_spread: float | None


@dataclass(frozen=True)
class Evaluator:
    """Scores one learner on episodes of one split.

    Args:
        learner: on ``device`` already; put into eval mode where it has one.
        split: what the episodes were drawn from.
        augmentation: what the support views of a head may change.
        view_seed: of the support views, and of what an episodic learner draws.
        autocast: makes the context in which the learner runs.
        base: the base classes, for heads that ask for their statistics.
        features_cache: a folder that keeps features for later calls, a file a split.
        progress: called while embedding, with how many views are done and how many there are.
    """

    learner: Any
    split: Split
    augmentation: Augmentation = NO_AUGMENTATION
    view_seed: int = 0
    device: torch.device | str = "cpu"
    autocast: Autocast = nullcontext
    base: Split | None = None
    features_cache: Path | None = None
    progress: Progress = silent

    def scores(self, episodes: Sequence[Episodes], head: LoadedHead | None, predictions: bool = False) -> list[Score]:
        """A score for each of ``episodes``.

        Args:
            head: None for a learner that is episodic and takes its supports raw.
            predictions: with the predicted label of every query.

        Raises:
            PluginError: the learner is of neither kind, or returns what it must not.
            HarnessError: the head asks for statistics of base classes that are not there.
        """
        taken = self._by_shape(episodes, head, answers if predictions else accuracies)
        return [
            Score(
                episode_set.spec,
                episode_set.target,
                episode_set.fingerprint,
                _joined(
                    episode_set,
                    [(part.which, part.values["accuracy"] if predictions else part.values) for part in parts],
                ),
                episode_set.classes,
                self.split.n_classes,
                _largest(parts),
                _predicted(episode_set, parts) if predictions else None,
            )
            for episode_set, parts in zip(episodes, taken, strict=True)
        ]

    def measured(
        self, episodes: Sequence[Episodes], head: LoadedHead | None, measure: Measure
    ) -> list[tuple[np.ndarray, float | None]]:
        """For each of ``episodes``: what ``measure`` takes of the scores, (E,), and the spread of the features.

        Episodes of several shapes are scored shape by shape, all of a shape at once.
        """
        return [
            (_joined(episode_set, [(part.which, part.values) for part in parts]), _largest(parts))
            for episode_set, parts in zip(episodes, self._by_shape(episodes, head, measure), strict=True)
        ]

    def _by_shape(self, episodes: Sequence[Episodes], head: LoadedHead | None, measure: Measure) -> list[list[_Part]]:
        """What ``measure`` takes, for each of ``episodes`` and each of its shapes."""
        shapes = [episode_set.parts() for episode_set in episodes]
        results = iter(self._measured([part for of_a_set in shapes for _, part in of_a_set], head, measure))
        return [[_Part(which, part, *next(results)) for which, part in of_a_set] for of_a_set in shapes]

    def _measured(
        self, episodes: Sequence[Episodes], head: LoadedHead | None, measure: Measure
    ) -> list[tuple[np.ndarray, float | None]]:
        """As ``measured``, of episodes of one shape each."""
        if isinstance(self.learner, torch.nn.Module):
            self.learner.eval()
        if head is not None and head.head.embed == "logits" and not isinstance(self.learner, LogitsOf):
            return replace(self, learner=LogitsOf(self.learner))._measured(episodes, head, measure)
        episodic = isinstance(self.learner, EpisodicLearner)
        if isinstance(self.learner, Embedder) and not (head is None and episodic):
            return self._measured_with_head(episodes, head, measure)
        if not episodic:
            raise PluginError(
                f"{type(self.learner).__name__} can neither embed(images) nor predict(batch): see Embedder and "
                "EpisodicLearner"
            )
        source = self._source(self.split, head.views if head else 1)
        return [
            (score_episodic(self.learner, source, episode_set, self.autocast, measure), None)
            for episode_set in episodes
        ]

    def _measured_with_head(
        self, episodes: Sequence[Episodes], head: LoadedHead | None, measure: Measure
    ) -> list[tuple[np.ndarray, float | None]]:
        if head is None:
            name = type(self.learner).__name__
            raise PluginError(f"{name} embeds images, so its method needs a head to classify them")
        source = self._source(self.split, head.views)
        embedding = self._embedded(source, used_pairs(episodes, head.views, len(self.split)))
        spreads = [spread(embedding, episode_set) for episode_set in episodes]
        raw = self._raw_statistics(head.raw_statistics, head)
        features = head.transformed(embedding.features.to(self.device), raw)
        classify = head.classify(self._transformed_statistics(head, raw))
        transformed = Embedding(features, embedding.pairs)
        return [
            (score(transformed, episode_set, head.views, classify, measure), spread_of_features)
            for episode_set, spread_of_features in zip(episodes, spreads, strict=True)
        ]

    # ── features ─────────────────────────────────────────────────────────────────────────────────

    def _source(self, split: Split, views: int) -> ViewSource:
        return ViewSource(split, self.augmentation, self.view_seed, self.device, views)

    def _embedded(self, source: ViewSource, pairs: np.ndarray) -> Embedding:
        """The features of pairs (M, 2) of an image and a view, from the cache where it has them."""
        return cache.load_or_compute(
            self._cache_file(source.split),
            lambda: cache.identity(self.learner, source, self.autocast),
            pairs,
            lambda missing: embed(self.learner, source, missing, self.autocast, self.progress),
        )

    def _cache_file(self, split: Split, what: str = "") -> Path | None:
        kind = "logits-" if isinstance(self.learner, LogitsOf) else ""
        return self.features_cache / file_name(split, what + kind) if self.features_cache else None

    def _raw_statistics(self, names: Sequence[BaseStatistic], head: LoadedHead) -> BaseStatistics:
        """Statistics of the base classes' raw features. The mean alone is kept as one row, not as all features."""
        if not names:
            return BaseStatistics()
        source = self._base_source(head)
        if tuple(names) != ("mean",):
            return statistics(*self._base_features, names)
        pairs = chosen_images(source.split)
        mean = cache.load_or_compute(
            self._cache_file(source.split, "mean-of-"),
            lambda: cache.identity(self.learner, source, self.autocast),
            pairs[:1],
            lambda _: embed(self.learner, source, pairs, self.autocast, self.progress).mean(dim=0, keepdim=True),
        )
        return BaseStatistics(mean=mean.features[0])

    def _transformed_statistics(self, head: LoadedHead, raw: BaseStatistics) -> BaseStatistics:
        """What the classifier asks to know of the base classes, of features as the head transforms them."""
        if not head.classifier.base_statistics:
            return BaseStatistics()
        self._base_source(head)
        features, labels = self._base_features
        return statistics(head.transformed(features, raw), labels, head.classifier.base_statistics)

    @cached_property
    def _base_features(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw features (M, D) of base images and their classes (M,)."""
        assert self.base is not None
        pairs = chosen_images(self.base)
        embedding = self._embedded(ViewSource(self.base, device=self.device), pairs)
        rows = torch.from_numpy(embedding.rows(pairs[:, 0], 1)[:, 0])
        labels = torch.from_numpy(np.asarray(self.base.labels)[pairs[:, 0]])
        return embedding.features.to(self.device)[rows.to(self.device)], labels.to(self.device)

    def _base_source(self, head: LoadedHead) -> ViewSource:
        if self.base is None:
            raise HarnessError(f"the head {head.head} needs features of the base classes, which are not there")
        return ViewSource(self.base, device=self.device)


def _joined(episodes: Episodes, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(E,) float64 from which episodes (e,) have which values (e,)."""
    values = np.empty(len(episodes))
    for which, of_part in parts:
        values[which] = of_part
    return values


def _largest(parts: Sequence[_Part]) -> float | None:
    return max((part.feature_spread for part in parts if part.feature_spread is not None), default=None)


def _predicted(episodes: Episodes, parts: Sequence[_Part]) -> np.ndarray:
    """(E, n_way * n_query): labels in the order of ``episodes.query``; of an episode with fewer classes, the first."""
    kind = label_type(episodes.spec.n_way)
    predicted = np.full((len(episodes), episodes.query.shape[1] * episodes.query.shape[2]), np.iinfo(kind).max, kind)
    for part in parts:
        unshuffled = np.empty_like(part.values["predicted"], kind)
        np.put_along_axis(unshuffled, query_order(part.episodes), part.values["predicted"].astype(kind), axis=1)
        predicted[part.which, : unshuffled.shape[1]] = unshuffled
    return predicted

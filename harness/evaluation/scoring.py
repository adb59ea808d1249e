"""Accuracies of a learner on many episodes.

Queries come to every classifier and learner in a seeded, shuffled order, for class order would give labels away. A
query counts as 1/m correct if its class shares the highest score with m - 1 others: so constant scores are worth
exactly chance, whatever the order of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.common.errors import PluginError
from harness.common.randomness import numpy_generator
from harness.contract.data import Augmentation, Split
from harness.contract.episodes import Episodes
from harness.contract.heads import BatchedClassifier, Head
from harness.contract.learners import Embedder, EpisodeBatch, EpisodicLearner
from harness.contract.results import Score
from harness.evaluation import cache, transforms
from harness.evaluation.embed import NO_AUGMENTATION, Embedding, Progress, ViewSource, embed, silent, used_pairs

BASE_IMAGES = 20_000
EPISODIC_IMAGES = 2048  # of 32×32 pixels that an episodic learner is handed at once
CHUNK_BYTES = 2**25  # of gathered features: near the size of a processor's last cache …
GPU_CHUNK_FACTOR = 32  # … which a GPU does not need, but fewer launches it does
Autocast = Callable[[], AbstractContextManager[Any]]


def evaluate(
    learner: Any,
    split: Split,
    episodes: Sequence[Episodes],
    head: Head | None,
    classifier: BatchedClassifier | None,
    *,
    augmentation: Augmentation = NO_AUGMENTATION,
    view_seed: int = 0,
    device: torch.device | str = "cpu",
    autocast: Autocast = nullcontext,
    base: Split | None = None,
    features_cache: Path | None = None,
    progress: Progress = silent,
) -> list[Score]:
    """A score for each of ``episodes``, by the head where the learner is an ``Embedder``, else by the learner itself.

    Args:
        learner: on ``device`` already; put into eval mode where it has one.
        head: None for a learner that is episodic and takes its supports raw.
        classifier: the one that ``head`` names.
        augmentation: what the support views of the head may change.
        autocast: makes the context in which the learner runs.
        base: the base classes, for the transform ``centre``.
        features_cache: a folder that keeps features for later calls, a file a split.
        progress: called while embedding, with how many views are done and how many there are.
    Raises:
        PluginError: the learner is of neither kind, or returns what it must not.
    """
    if isinstance(learner, torch.nn.Module):
        learner.eval()
    source = ViewSource(split, augmentation, view_seed, device, head.views if head else 1)
    by_itself = head is None and isinstance(learner, EpisodicLearner)
    if isinstance(learner, Embedder) and not by_itself:
        if head is None or classifier is None:
            raise PluginError(f"{type(learner).__name__} embeds images, so its method needs a head to classify them")
        centred = "centre" in transforms.check(head.transform)
        embedding = cache.load_or_compute(
            features_cache / cache.file_name(split) if features_cache else None,
            lambda: cache.identity(learner, source, autocast),
            used_pairs(episodes, head.views, len(split)),
            lambda missing: embed(learner, source, missing, autocast, progress),
        )
        spreads: list[float | None] = [spread(embedding, some) for some in episodes]
        mean = mean_feature(learner, base, device, autocast, features_cache, progress) if centred else None
        features = transforms.apply(head.transform, embedding.features.to(device), mean)
        embedding = Embedding(features, embedding.pairs)
        accuracies = [score(embedding, some, head.views, classifier) for some in episodes]
    elif isinstance(learner, EpisodicLearner):
        accuracies = [score_episodic(learner, source, some, autocast) for some in episodes]
        spreads = [None] * len(episodes)
    else:
        raise PluginError(
            f"{type(learner).__name__} can neither embed(images) nor predict(batch): see Embedder and EpisodicLearner"
        )
    return [
        Score(e.spec, e.target, e.fingerprint, a, e.classes, split.n_classes, feature_spread)
        for e, a, feature_spread in zip(episodes, accuracies, spreads, strict=True)
    ]


def mean_feature(
    learner: Embedder,
    base: Split | None,
    device: torch.device | str = "cpu",
    autocast: Autocast = nullcontext,
    features_cache: Path | None = None,
    progress: Progress = silent,
) -> Tensor | None:
    """The mean feature (D,) of the base classes, over at most ``BASE_IMAGES`` images; None without base classes.

    It is kept in the folder ``features_cache`` as an embedding of one row.
    """
    if base is None:
        return None
    source = ViewSource(base, device=device)
    some = numpy_generator(0, "base images").permutation(len(base))[:BASE_IMAGES]
    pairs = np.stack([np.sort(some), np.zeros_like(some)], axis=1)
    mean = cache.load_or_compute(
        features_cache / cache.file_name(base, "mean-of-") if features_cache else None,
        lambda: cache.identity(learner, source, autocast),
        pairs[:1],
        lambda _: embed(learner, source, pairs, autocast, progress).mean(dim=0, keepdim=True),
    )
    return mean.features[0]


def spread(embedding: Embedding, episodes: Episodes) -> float:
    """How far the features of the queries lie from their mean, root mean square, in units of their length: 0..1.

    0: all alike, so that they tell no image from another. Features that are 0 are alike, too.
    """
    rows = torch.from_numpy(embedding.rows(np.unique(episodes.query), 1)[:, 0]).to(embedding.features.device)
    features = embedding.features[rows]  # (N, D)
    length = features.square().sum(dim=1, dtype=torch.float64).mean()
    variance = (features - features.mean(dim=0)).square().sum(dim=1, dtype=torch.float64).mean()
    return float((variance / length).sqrt().clamp(max=1)) if length > 0 else 0.0


def score(embedding: Embedding, episodes: Episodes, views: int, classifier: BatchedClassifier) -> np.ndarray:
    """Accuracies (E,) float64 of a classifier on embedded and transformed images, ``views`` of each support image."""
    query, query_labels = shuffled_queries(episodes)
    query_rows = embedding.rows(query, 1).squeeze(2)  # (E, Q)
    support_rows = embedding.rows(episodes.support.reshape(len(episodes), -1), views)  # (E, n_way * k_shot, views)
    support_rows = support_rows.reshape(len(episodes), -1)
    labels = _support_labels(episodes, views, embedding.features.device)
    n_rows, size = support_rows.shape[1] + query.shape[1], embedding.features.element_size()
    gather, accuracies = _Gather(embedding.features), []
    for part in _chunks(len(episodes), n_rows * embedding.features.shape[1] * size, embedding.features.device):
        support, queries = gather("support", support_rows[part]), gather("query", query_rows[part])
        scores = classifier(support, labels.expand(len(support), -1), queries, episodes.spec.n_way)
        name = f"the classifier {getattr(classifier, '__name__', classifier)}()"
        accuracies.append(_accuracies(name, scores, query_labels[part], episodes))
    return np.concatenate(accuracies)


class _Gather:
    """Rows of a table of features, into the same memory each time: fresh pages cost several times the copying."""

    def __init__(self, features: Tensor) -> None:
        self.features = features  # (M, D)
        self.memory: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: np.ndarray) -> Tensor:
        """Features (e, R, D) of rows (e, R). The next call with this name overwrites them."""
        memory = self.memory.get(name)
        if memory is None or len(memory) < rows.size:
            memory = self.memory[name] = self.features.new_empty(rows.size, self.features.shape[1])
        index = torch.from_numpy(rows.reshape(-1)).to(self.features.device)
        return torch.index_select(self.features, 0, index, out=memory[: rows.size]).view(*rows.shape, -1)


def score_episodic(
    learner: EpisodicLearner, source: ViewSource, episodes: Episodes, autocast: Autocast = nullcontext
) -> np.ndarray:
    """Accuracies (E,) float64 of a learner that classifies queries itself, supports in all views of ``source``."""
    query, query_labels = shuffled_queries(episodes)
    support = np.repeat(episodes.support.reshape(len(episodes), -1), source.views, axis=1)  # (E, S)
    views = np.tile(np.arange(source.views), support.shape[1] // source.views)  # (S,)
    labels = _support_labels(episodes, source.views, source.device)
    shape = source.split.images.shape[1:]
    accuracies = []
    most = EPISODIC_IMAGES * 32 * 32 // (shape[0] * shape[1])
    for part in _slices(len(episodes), most // (support.shape[1] + query.shape[1])):
        n = len(query[part])
        batch = EpisodeBatch(
            source.read(support[part].reshape(-1), np.tile(views, n)).reshape(n, -1, *shape),
            labels.expand(n, -1).contiguous(),
            source.read(query[part].reshape(-1), np.zeros(query[part].size, int)).reshape(n, -1, *shape),
            episodes.spec.n_way,
        )
        with autocast():
            scores = learner.predict(batch)
        name = f"{type(learner).__name__}.predict()"
        accuracies.append(_accuracies(name, scores, query_labels[part], episodes))
    return np.concatenate(accuracies)


def shuffled_queries(episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the queries, (E, Q) each, in an order that depends on the episode's number alone."""
    query = episodes.query.reshape(len(episodes), -1)
    order = numpy_generator(0, "query order").random(query.shape).argsort(axis=1)
    return np.take_along_axis(query, order, axis=1), np.take_along_axis(episodes.query_labels, order, axis=1)


def _support_labels(episodes: Episodes, views: int, device: torch.device | str) -> Tensor:
    """(1, S) int64, for supports in the order class, shot, view."""
    return torch.arange(episodes.spec.n_way, device=device).repeat_interleave(episodes.spec.k_shot * views)[None]


def _chunks(n_episodes: int, bytes_each: int, device: torch.device | str) -> Iterator[slice]:
    factor = 1 if torch.device(device).type == "cpu" else GPU_CHUNK_FACTOR
    return _slices(n_episodes, factor * CHUNK_BYTES // bytes_each)


def _slices(n_episodes: int, step: int) -> Iterator[slice]:
    return (slice(start, start + max(1, step)) for start in range(0, n_episodes, max(1, step)))


def _accuracies(name: str, scores: Any, labels: np.ndarray, episodes: Episodes) -> np.ndarray:
    """(e,) float64 from scores (e, Q, n_way) and labels (e, Q)."""
    expected = (*labels.shape, episodes.spec.n_way)
    if not isinstance(scores, Tensor) or scores.shape != expected:
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise PluginError(f"{name} returned {found}; scores must be a tensor (E, Q, n_way), here {expected}")
    if bool(scores.isnan().any()):
        raise PluginError(f"{name} returned scores that are NaN")
    scores = scores.detach()
    highest = scores == scores.amax(dim=2, keepdim=True)  # (e, Q, n_way)
    hit = highest.gather(2, torch.from_numpy(labels).to(scores.device)[..., None]).squeeze(2)
    return (hit.double() / highest.sum(dim=2)).mean(dim=1).cpu().numpy()

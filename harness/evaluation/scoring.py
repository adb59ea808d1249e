"""Accuracies of a classifier on many episodes, all at once.

Queries come to every classifier and learner in a seeded, shuffled order, for class order would give labels away. A
query counts as 1/m correct if its class shares the highest score with m - 1 others: so constant scores are worth
exactly chance, whatever the order of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from harness.common.errors import PluginError
from harness.common.randomness import numpy_generator
from harness.contract.results import label_type

if TYPE_CHECKING:
    from harness.contract.episodes import Episodes
    from harness.evaluation.embed import Embedding
    from harness.evaluation.heads import Classify

# Takes what scored, scores (e, Q, n_way), labels (e, Q), the episodes and which of them these are; returns a value an
# episode, (e,): a number, or several as a structured array.
Measure = Callable[[str, Any, np.ndarray, "Episodes", slice], np.ndarray]

CHUNK_BYTES = 2**25  # of gathered features: near the size of a processor's last cache …
GPU_CHUNK_FACTOR = 32  # … which a GPU does not need, but fewer launches it does


def spread(embedding: Embedding, episodes: Episodes) -> float:
    """How far the features of the queries lie from their mean, root mean square, in units of their length: 0..1.

    0: all alike, so that they tell no image from another. Features that are 0 are alike, too.
    """
    rows = torch.from_numpy(embedding.rows(np.unique(episodes.query), 1)[:, 0]).to(embedding.features.device)
    features = embedding.features[rows]  # (N, D)
    length = features.square().sum(dim=1, dtype=torch.float64).mean()
    variance = (features - features.mean(dim=0)).square().sum(dim=1, dtype=torch.float64).mean()
    return float((variance / length).sqrt().clamp(max=1)) if length > 0 else 0.0


def score(
    embedding: Embedding, episodes: Episodes, views: int, classifier: Classify, measure: Measure | None = None
) -> np.ndarray:
    """Accuracies (E,) float64 of a classifier on embedded and transformed images, ``views`` of each support image.

    Args:
        measure: what is taken of the scores in place of accuracies, (E,).
    """
    measure = measure or accuracies
    query, query_labels = shuffled_queries(episodes)
    query_rows = embedding.rows(query, 1).squeeze(2)  # (E, Q)
    support_rows = embedding.rows(episodes.support.reshape(len(episodes), -1), views)  # (E, n_way * k_shot, views)
    support_rows = support_rows.reshape(len(episodes), -1)
    labels = support_labels(episodes, views, embedding.features.device)
    n_rows, size = support_rows.shape[1] + query.shape[1], embedding.features.element_size()
    gather, done = _Gather(embedding.features), []
    for part in _chunks(len(episodes), n_rows * embedding.features.shape[1] * size, embedding.features.device):
        support, queries = gather("support", support_rows[part]), gather("query", query_rows[part])
        scores = classifier(support, labels.expand(len(support), -1), queries, episodes.spec.n_way)
        name = f"the classifier {getattr(classifier, '__name__', classifier)}()"
        done.append(measure(name, scores, query_labels[part], episodes, part))
    return np.concatenate(done)


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


def shuffled_queries(episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the queries, (E, Q) each, in an order that depends on the episode's number alone."""
    query, order = episodes.query.reshape(len(episodes), -1), query_order(episodes)
    return np.take_along_axis(query, order, axis=1), np.take_along_axis(episodes.query_labels, order, axis=1)


def query_order(episodes: Episodes) -> np.ndarray:
    """(E, Q) int64: at each place of the shuffled queries, where it stands in ``episodes.query`` read row by row."""
    shape = len(episodes), episodes.query.shape[1] * episodes.query.shape[2]
    return numpy_generator(0, "query order").random(shape).argsort(axis=1)


def support_labels(episodes: Episodes, views: int, device: torch.device | str) -> Tensor:
    """(1, S) int64, for supports in the order class, shot, view."""
    return torch.arange(episodes.spec.n_way, device=device).repeat_interleave(episodes.spec.k_shot * views)[None]


def _chunks(n_episodes: int, bytes_each: int, device: torch.device | str) -> Iterator[slice]:
    factor = 1 if torch.device(device).type == "cpu" else GPU_CHUNK_FACTOR
    return slices(n_episodes, factor * CHUNK_BYTES // bytes_each)


def slices(n_episodes: int, step: int) -> Iterator[slice]:
    return (slice(start, start + max(1, step)) for start in range(0, n_episodes, max(1, step)))


def accuracies(name: str, scores: Any, labels: np.ndarray, episodes: Episodes, part: slice) -> np.ndarray:
    """(e,) float64 from scores (e, Q, n_way) and labels (e, Q)."""
    return _share_right(_highest(checked(name, scores, labels, episodes)), labels)


def answers(name: str, scores: Any, labels: np.ndarray, episodes: Episodes, part: slice) -> np.ndarray:
    """(e,) with the fields ``accuracy``, as ``accuracies`` has it, and ``predicted`` (Q,): a label for each query.

    Where classes share a query's highest score, one of them is drawn, by a generator that depends on the episode's
    number alone: so the mean number of right predictions is what the accuracy counts.
    """
    highest = _highest(checked(name, scores, labels, episodes))
    predicted = highest.int().argmax(dim=2).cpu().numpy()  # (e, Q)
    n_best = highest.sum(dim=2)
    for e in (n_best > 1).any(dim=1).nonzero()[:, 0].tolist():
        draws = numpy_generator(0, "ties", range(len(episodes))[part][e]).random(len(predicted[e]))
        place = (draws * n_best[e].cpu().numpy()).astype(int)[:, None]  # among those that share the highest score
        counted = highest[e].cpu().numpy().cumsum(axis=1)
        predicted[e] = (counted > place).argmax(axis=1)
    kind = np.dtype([("accuracy", np.float64), ("predicted", label_type(highest.shape[2]), (highest.shape[1],))])
    done = np.empty(len(labels), kind)
    done["accuracy"], done["predicted"] = _share_right(highest, labels), predicted
    return done


def _highest(scores: Tensor) -> Tensor:
    """(e, Q, n_way) bool: which classes have a query's highest score."""
    return scores == scores.amax(dim=2, keepdim=True)


def _share_right(highest: Tensor, labels: np.ndarray) -> np.ndarray:
    """(e,) float64: a query counts as 1/m where its class (e, Q) is one of m with the highest score."""
    hit = highest.gather(2, torch.from_numpy(labels).to(highest.device)[..., None]).squeeze(2)
    return (hit.double() / highest.sum(dim=2)).mean(dim=1).cpu().numpy()


def cross_entropies(name: str, scores: Any, labels: np.ndarray, episodes: Episodes, part: slice) -> np.ndarray:
    """(e,) float64, the mean over an episode's queries of -log softmax(scores)[label]; arguments as ``accuracies``."""
    scores = checked(name, scores, labels, episodes).double()
    right = torch.from_numpy(labels).to(scores.device)[..., None]
    return -scores.log_softmax(dim=2).gather(2, right).mean(dim=(1, 2)).cpu().numpy()


def checked(name: str, scores: Any, labels: np.ndarray, episodes: Episodes) -> Tensor:
    """``scores`` without gradients. Raises PluginError where they are no tensor (e, Q, n_way), or NaN."""
    expected = (*labels.shape, episodes.spec.n_way)
    if not isinstance(scores, Tensor) or scores.shape != expected:
        returned = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise PluginError(f"{name} returned {returned}; scores must be a tensor (E, Q, n_way), here {expected}")
    if bool(scores.isnan().any()):
        raise PluginError(f"{name} returned scores that are NaN")
    return scores.detach()

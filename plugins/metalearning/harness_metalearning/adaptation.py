"""The inner loop: gradient descent on the supports of many episodes at once, through which gradients flow.

E episodes of S support and Q query images, (C, H, W) each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

import harness
from harness_metalearning.norms import normalised_by, within_episodes

Weights = Mapping[str, torch.Tensor]

CHUNK_PIXELS = 2**19  # of the images that are adapted to at once: 512 of 32×32, some 0.5 GB of conv4's maps
CHUNK_EPISODES = 8  # that are adapted to at once at most, and with fewer left too


def adapted(
    loss: Callable[[Weights], torch.Tensor],
    weights: Weights,
    steps: int,
    rate: float | torch.Tensor,
    order: Literal["first", "second"],
) -> Weights:
    """``weights`` after ``steps`` of gradient descent on ``loss`` at the learning rate ``rate``.

    Gradients flow back to ``weights``: through the steps' own gradients too (``second``), or with those as constants
    (``first``, which needs no graph of them). A rate may be a tensor that the weights are broadcast with.

    Source: Finn et al. 2017 (MAML), eq. 1 and section 5.2.
    """
    for _ in range(steps):
        with torch.set_grad_enabled(order == "second" and torch.is_grad_enabled()):
            gradients = grad(loss)(weights)
        weights = {name: weight - rate * gradients[name] for name, weight in weights.items()}
    return weights


def of_each(function: Callable[..., torch.Tensor], *episodes: torch.Tensor | Weights) -> torch.Tensor:
    """``function`` of each episode, stacked: of all at once on a GPU.

    On a processor one after the other, for an episode keeps it busy, and convolutions by as many weights as there are
    episodes are slower there than each by itself.

    Args:
        episodes: tensors (E, …), and weights whose every tensor is.
    """
    first = episodes[0] if isinstance(episodes[0], torch.Tensor) else next(iter(episodes[0].values()))
    if at_once(first):
        return vmap(function)(*episodes)
    return torch.stack([function(*(_of_one(part, e) for part in episodes)) for e in range(len(first))])


def at_once(tensor: torch.Tensor) -> bool:
    """Whether episodes are adapted to together where ``tensor`` lies."""
    return tensor.device.type != "cpu"


def _of_one(part: torch.Tensor | Weights, episode: int) -> torch.Tensor | Weights:
    if isinstance(part, torch.Tensor):
        return part[episode]
    return {name: weight[episode] for name, weight in part.items()}


class AdaptiveNetwork(harness.FeatureNetwork, ABC):
    """A backbone and a linear head that start each episode from learned weights. Its kinds say which of them adapt.

    The head has a row for each of ``train_way`` classes. In episodes of another way each class starts from the mean of
    the rows, since which of them it would get is arbitrary.
    """

    adapts_backbone: ClassVar[bool] = True

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        self.head = nn.Linear(self.n_features, context.options.train_way)
        self.options = context.options

    def head_weights(self, n_way: int) -> Weights:
        """``weight`` (n_way, D) and ``bias`` (n_way,) that an episode starts from."""
        rows = dict(self.head.named_parameters())
        if n_way == len(self.head.weight):
            return rows
        return {name: row.mean(dim=0, keepdim=True).expand(n_way, *row.shape[1:]) for name, row in rows.items()}

    def inner_loop(self, loss: Callable[[Weights], torch.Tensor], weights: Weights) -> Weights:
        """``weights`` adapted with as many steps as in training, or as at test."""
        steps = self.options.inner_steps if self.training else self.options.test_steps
        return adapted(loss, weights, steps, self.options.inner_rate, self.options.order)

    @abstractmethod
    def forward(self, support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor, n_way: int) -> torch.Tensor:  # type: ignore[override]
        """Logits (E, Q, n_way) of queries (E, Q, C, H, W) after adaptation to supports (E, S, C, H, W), normalised."""

    def predict(self, batch: harness.EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way). As many episodes at once as ``CHUNK_PIXELS`` and ``CHUNK_EPISODES`` allow.

        The last chunk is filled up with its own episodes, so that every episode meets the same kernels whatever stands
        beside it: a few steps of descent make much of another rounding.
        """
        images = (batch.support.shape[1] + batch.query.shape[1]) * batch.query[0, 0, ..., 0].numel()
        alone = self.adapts_backbone and not at_once(batch.support)
        size = 1 if alone else max(1, min(CHUNK_EPISODES, CHUNK_PIXELS // images))
        with torch.no_grad():  # the inner loop takes its own gradients
            scores = [
                self(self._normalised(support), labels, self._normalised(query), batch.n_way)
                for support, labels, query in _chunks(batch, size)
            ]
        return torch.cat(scores)[: len(batch.support)]

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Images (E, N, C, H, W) float32 of (E, N, H, W, C) uint8."""
        return ((images.float() / 255 - self.mean) / self.std).movedim(-1, -3)


def _chunks(batch: harness.EpisodeBatch, size: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Supports, labels and queries of ``size`` episodes at a time, the last of them repeated to fill the last chunk."""
    n_episodes = len(batch.support)
    for start in range(0, n_episodes, size):
        episodes = torch.arange(start, start + size, device=batch.support.device).clamp_max(n_episodes - 1)
        yield batch.support[episodes], batch.support_labels[episodes], batch.query[episodes]


class Maml(AdaptiveNetwork):
    """All weights adapt. BatchNorm is over the supports of an episode, or as in MAML's code over what is classified.

    Dropout and DropBlock are off, in training too: an inner loop of a few steps is to follow one loss.
    """

    def __init__(self, context: harness.BuildContext, transductive: bool) -> None:
        super().__init__(context)
        self.transductive = transductive
        within_episodes(self.backbone)

    def train(self, mode: bool = True) -> Maml:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor, n_way: int) -> torch.Tensor:  # type: ignore[override]
        weights = {
            **{f"backbone.{name}": weight for name, weight in self.backbone.named_parameters()},
            **{f"head.{name}": weight for name, weight in self.head_weights(n_way).items()},
        }

        def episode(support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
            fitted = self.inner_loop(lambda now: F.cross_entropy(self.logits(now, support), labels), weights)
            if self.transductive:
                return self.logits(fitted, query)
            return self.logits(fitted, torch.cat([support, query]))[len(support) :]

        counted = None if self.transductive else support.shape[1]
        once = self.options.order == "first" or not torch.is_grad_enabled()
        with normalised_by(self.backbone, counted, fused=once or not at_once(support)):
            return of_each(episode, support, labels, query)

    def logits(self, weights: Weights, images: torch.Tensor) -> torch.Tensor:
        """(N, n_way) float32 of images (N, C, H, W) of one episode, under ``weights`` of backbone and head."""
        of_backbone = {name.removeprefix("backbone."): w for name, w in weights.items() if name.startswith("backbone.")}
        features = functional_call(self.backbone, of_backbone, (images,))
        return in_float32(features, weights["head.weight"], weights["head.bias"])


class Anil(AdaptiveNetwork):
    """The head adapts alone, on features of the backbone as it is: of its running statistics at test."""

    adapts_backbone = False

    def forward(self, support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor, n_way: int) -> torch.Tensor:  # type: ignore[override]
        shape = (len(support), support.shape[1] + query.shape[1])
        images = torch.cat([support, query], dim=1).flatten(0, 1)  # one batch, as BatchNorm in training sees it
        features = self.backbone(images).float().unflatten(0, shape).split([support.shape[1], query.shape[1]], dim=1)

        def episode(support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
            def loss(head: Weights) -> torch.Tensor:
                return F.cross_entropy(in_float32(support, head["weight"], head["bias"]), labels)

            fitted = self.inner_loop(loss, self.head_weights(n_way))
            return in_float32(query, fitted["weight"], fitted["bias"])

        return vmap(episode)(features[0], labels, features[1])


def in_float32(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Logits (N, n_way) of features (N, D), outside any autocast."""
    with torch.autocast(features.device.type, enabled=False):
        return F.linear(features.to(weight.dtype), weight, bias)


def fit(context: harness.FitContext, learner: Any, **parts: Any) -> None:
    """The outer loop: the queries' cross-entropy after adaptation, over a meta-batch of episodes a step.

    Args:
        parts: of the recipe.
    """

    def loss(network: Any, batch: harness.Batch) -> dict[str, torch.Tensor]:
        episodes = batch.episodes
        assert episodes is not None
        support, query = episodes.split(batch.images)
        logits = network(support, episodes.support_labels, query, episodes.n_way)
        return {"loss": F.cross_entropy(logits.flatten(0, 1), episodes.query_labels.flatten())}

    context.trainer.run(learner, loss, context.options.recipe(batches=context.options.batches(), **parts))

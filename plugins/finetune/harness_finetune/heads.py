"""The heads of Baseline and Baseline++: a classifier fitted to the supports of each episode, all episodes at once.

Each episode's weights stay in the span of its support features and of the weights they start from. So the descent runs
on coefficients (E, n_way, S + n_way) over these, and needs features only through their inner products: its cost does
not depend on the number of features, and its steps are those of the weights themselves.

Source: Chen et al. 2019, arXiv:1904.04232, section 3.2; steps, rates and the learned norms: the authors' code
(wyharveychen/CloserLookFewShot, methods/baselinefinetune.py and backbone.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from harness import numpy_generator

PASSES, BATCH = 100, 4  # passes over the supports, in batches of so many
RATE, MOMENTUM, DAMPENING, DECAY = 0.01, 0.9, 0.9, 0.001  # of torch.optim.SGD
SCALE = 2.0  # of the cosines


def linear_sgd(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Scores (E, Q, n_way): the logits of a linear layer, fitted to the supports of each episode by SGD.

    Args:
        support: (E, S, D).
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
    """
    place = order_of_appearance(support_labels, n_way)
    weight, bias = (values.to(support) for values in initial_weights(n_way, support.shape[2]))
    targets = _targets(support_labels, place)

    def products(features: Tensor) -> Tensor:
        """Of support features and initial weights, each beside a 1 or its bias, with features (E, N, D)."""
        return torch.cat([support @ features.mT + 1, weight @ features.mT + bias[:, None]], dim=1)

    known = products(support).mT.contiguous()  # (E, S, S + n_way)
    coefficients = _start(support, n_way)

    def gradients(batch: Tensor) -> list[Tensor]:
        logits = coefficients @ known.index_select(1, batch).mT  # (E, n_way, B)
        return [_at(batch, (logits.softmax(1) - targets.index_select(2, batch)) / len(batch), coefficients)]

    descend([coefficients], gradients, support.shape[1])
    return _of_classes((coefficients @ products(query)).mT, place)


def cosine_sgd(support: Tensor, support_labels: Tensor, query: Tensor, n_way: int) -> Tensor:
    """Scores (E, Q, n_way): scaled cosines to a direction a class, times its norm; both fitted by SGD.

    Args:
        support: (E, S, D).
        support_labels: (E, S), 0..n_way-1.
        query: (E, Q, D).
    """
    place = order_of_appearance(support_labels, n_way)
    weight = initial_weights(n_way, support.shape[2])[0].to(support)
    targets = _targets(support_labels, place)
    support, query = F.normalize(support, dim=2), F.normalize(query, dim=2)

    def products(features: Tensor) -> Tensor:
        return torch.cat([support @ features.mT, weight @ features.mT], dim=1)

    with_weights = torch.cat([support @ weight.T, (weight @ weight.T).expand(len(support), -1, -1)], dim=1)
    known = torch.cat([products(support), with_weights], dim=2)  # (E, S + n_way, S + n_way)
    coefficients = _start(support, n_way)  # of the directions
    norms = weight.norm(dim=1)[:, None].repeat(len(support), 1, 1)  # (E, n_way, 1), learned apart from them

    def gradients(batch: Tensor) -> list[Tensor]:
        inner = coefficients @ known  # (E, n_way, S + n_way)
        length = (inner * coefficients).sum(2, keepdim=True).sqrt()  # (E, n_way, 1), of the directions
        cosines = inner.index_select(2, batch) / length
        residual = SCALE * ((SCALE * norms * cosines).softmax(1) - targets.index_select(2, batch)) / len(batch)
        along = (residual * cosines).sum(2, keepdim=True)  # (E, n_way, 1): what changes the norms alone
        across = _at(batch, residual, coefficients) - along / length * coefficients
        return [norms / length * across, along]

    descend([coefficients, norms], gradients, support.shape[1])
    length = ((coefficients @ known) * coefficients).sum(2, keepdim=True).sqrt()
    return _of_classes((SCALE * norms / length * (coefficients @ products(query))).mT, place)


def descend(values: list[Tensor], gradients: Callable[[Tensor], list[Tensor]], n_support: int) -> None:
    """Change ``values`` in place as torch.optim.SGD does, with ``gradients(batch)`` of each batch of supports."""
    velocities: list[Tensor] = []
    for batch in batches(n_support, values[0].device):
        changes = [change.add(value, alpha=DECAY) for change, value in zip(gradients(batch), values, strict=True)]
        if velocities:
            for velocity, change in zip(velocities, changes, strict=True):
                velocity.mul_(MOMENTUM).add_(change, alpha=1 - DAMPENING)
        else:
            velocities = changes  # the first step is not dampened
        for value, velocity in zip(values, velocities, strict=True):
            value.add_(velocity, alpha=-RATE)


def batches(n_support: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Places of supports, ``BATCH`` at a time, each support once a pass; the same in every episode."""
    generator = numpy_generator(0, "batches of supports", n_support)
    orders = np.stack([generator.permutation(n_support) for _ in range(PASSES)])
    for order in torch.from_numpy(orders).to(device):  # all at once: a GPU then waits for no batch
        yield from order.split(BATCH)


def initial_weights(n_way: int, n_features: int) -> tuple[Tensor, Tensor]:
    """(n_way, D) and biases (n_way,), float32, drawn as torch draws those of a linear layer; the same in every episode.

    They go to the classes by the order in which these appear among the supports, so that a class's number says nothing.
    """
    bound = n_features**-0.5
    drawn = numpy_generator(0, "initial weights", n_way, n_features).uniform(-bound, bound, (n_way, n_features + 1))
    both = torch.from_numpy(drawn).float()
    return both[:, :-1], both[:, -1]


def order_of_appearance(support_labels: Tensor, n_way: int) -> Tensor:
    """(E, n_way): how many classes appear before each class does among supports labelled (E, S)."""
    n_support = support_labels.shape[1]
    places = torch.arange(n_support, device=support_labels.device)[:, None]
    first = torch.where(F.one_hot(support_labels, n_way).bool(), places, n_support).amin(1)
    return first.argsort(1).argsort(1)


def _targets(support_labels: Tensor, place: Tensor) -> Tensor:
    """(E, n_way, S): 1 where a support is of the class, the classes in order of appearance."""
    return F.one_hot(place.gather(1, support_labels), place.shape[1]).mT.contiguous()


def _of_classes(scores: Tensor, place: Tensor) -> Tensor:
    """Scores (E, Q, n_way) in the order of class numbers, of those in order of appearance."""
    return scores.gather(2, place[:, None].expand_as(scores))


def _start(support: Tensor, n_way: int) -> Tensor:
    """Coefficients (E, n_way, S + n_way) of the initial weights."""
    n_episodes, n_support = support.shape[:2]
    start = support.new_zeros(n_episodes, n_way, n_support + n_way)
    start[:, :, n_support:] = torch.eye(n_way, dtype=support.dtype, device=support.device)
    return start


def _at(batch: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """Zeros like ``like``, with ``values`` (E, n_way, B) in the places of a batch."""
    return torch.zeros_like(like).index_copy_(2, batch, values)

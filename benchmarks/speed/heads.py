"""How fast the heads of Baseline and Baseline++ are fitted to many episodes at once, and to one after the other.

    python benchmarks/speed/heads.py                     # 600 episodes, 1 and 5 shots
    python benchmarks/speed/heads.py --episodes 100 --shots 1

5-way episodes of 15 queries a class on synthetic features. One after the other is what the authors' code does: a layer
and a torch.optim.SGD of its own for each episode. Both take the same batches and start from the same weights, and their
predictions are compared. Prints markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from harness_finetune import heads
from measuring import conditions, ratio, table, timed_in_turns
from torch import Tensor, nn
from torch.nn import functional as F

from harness.hardware.hardware import choose_hardware
from harness.hardware.process import prepare_process

if TYPE_CHECKING:
    from harness.hardware.hardware import Hardware

N_WAY, N_QUERY = 5, 15


def sample(n_episodes: int, k_shot: int, n_features: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Supports (E, S, D), their labels, queries (E, Q, D) and theirs, of classes that overlap."""
    generator = torch.Generator().manual_seed(0)
    means = 0.3 * torch.randn(n_episodes, N_WAY, n_features, generator=generator)
    labels = torch.arange(N_WAY).repeat_interleave(k_shot).expand(n_episodes, -1).contiguous()
    answers = torch.arange(N_WAY).repeat_interleave(N_QUERY).expand(n_episodes, -1)
    support = means.repeat_interleave(k_shot, 1)
    support = support + torch.randn(support.shape, generator=generator)
    query = means.repeat_interleave(N_QUERY, 1)
    return support, labels, query + torch.randn(query.shape, generator=generator), answers


def linear(n_features: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """A layer and its logits."""
    layer = nn.Linear(n_features, N_WAY)
    layer.weight.data, layer.bias.data = heads.initial_weights(N_WAY, n_features)
    return layer, layer


def cosine(n_features: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """A layer with a direction and a length for each class, and its scaled cosines."""
    layer = nn.Linear(n_features, N_WAY, bias=False)
    layer.weight.data = heads.initial_weights(N_WAY, n_features)[0]
    normed = nn.utils.parametrizations.weight_norm(layer, dim=0)
    return normed, lambda features: heads.SCALE * normed(F.normalize(features, dim=1))


def one_after_the_other(
    make: Callable[[int], tuple[nn.Module, Callable[[Tensor], Tensor]]], support: Tensor, labels: Tensor, query: Tensor
) -> Tensor:
    scores = []
    for x, y, q in zip(support, labels, query, strict=True):
        layer, logits = make(x.shape[1])
        optimiser = torch.optim.SGD(
            layer.parameters(), heads.RATE, heads.MOMENTUM, heads.DAMPENING, weight_decay=heads.DECAY
        )
        for batch in heads.batches(len(y)):
            optimiser.zero_grad()
            F.cross_entropy(logits(x[batch]), y[batch]).backward()
            optimiser.step()
        with torch.no_grad():
            scores.append(logits(q))
    return torch.stack(scores)


WAYS = {"linear-sgd (Baseline)": (heads.linear_sgd, linear), "cosine-sgd (Baseline++)": (heads.cosine_sgd, cosine)}


def measured(
    name: str, k_shot: int, n_episodes: int, n_features: int, rounds: int, hardware: Hardware
) -> Sequence[object]:
    """A line of the table."""
    fit, make = WAYS[name]
    support, labels, query, answers = sample(n_episodes, k_shot, n_features)

    @torch.no_grad()
    def at_once() -> Tensor:
        return fit(support, labels, query, N_WAY)

    def in_turn() -> Tensor:
        return one_after_the_other(make, support, labels, query)

    ours, theirs = at_once().argmax(2), in_turn().argmax(2)
    seconds = timed_in_turns({"at once": at_once, "in turn": in_turn}, rounds, hardware)
    return (
        f"{k_shot}-shot",
        name,
        f"{min(seconds['in turn']):.2f}",
        f"{min(seconds['at once']):.2f}",
        f"{ratio(seconds['in turn'], seconds['at once']):.0f} ×",
        *(f"{100 * (guess == answers).float().mean():.2f}" for guess in (theirs, ours)),
        f"{100 * (ours == theirs).float().mean():.2f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--features", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    hardware = choose_hardware("cpu", "32", asked.threads)
    prepare_process(hardware)
    print(conditions(hardware, episodes=asked.episodes, features=asked.features, rounds=asked.rounds) + "\n")
    lines = [
        measured(name, k_shot, asked.episodes, asked.features, asked.rounds, hardware)
        for k_shot in asked.shots
        for name in WAYS
    ]
    headers = ("5-way", "head", "one after the other, s", "at once, s", "ratio", "its accuracy %", "ours", "same %")
    print(table(headers, lines))


if __name__ == "__main__":
    main()

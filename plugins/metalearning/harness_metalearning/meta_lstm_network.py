"""The meta-learner of Ravi and Larochelle: an LSTM for each weight, with the same parameters for all.

E episodes of S support and Q query images, (C, H, W) each; P weights of the learner, its coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F

from harness_metalearning.adaptation import AdaptiveNetwork, Weights, in_float32, of_each
from harness_metalearning.norms import normalised_by, within_episodes

if TYPE_CHECKING:
    import harness

SMALLNESS = 10.0  # p of the preprocessing


class MetaLstm(AdaptiveNetwork):
    """A backbone and a linear head, both a learned start, and two LSTMs that turn them into an episode's.

    BatchNorm is over the supports of an episode, under the weights as adapted so far. Gradients of the supports' loss
    are constants: none flow back through them to the weights that they were taken at.

    Source: Ravi and Larochelle 2017, sections 3.2 to 3.5.
    """

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        within_episodes(self.backbone)
        size = context.options.hidden
        self.lstm = nn.LSTMCell(4, size)
        self.gates = nn.Linear(size + 1, 2)  # of forgetting and of input: what both read alike
        self.own = nn.Parameter(torch.empty(2))  # each gate's weight of what it was before
        for weight in (*self.lstm.parameters(), self.gates.weight, self.own):
            nn.init.uniform_(weight, -0.01, 0.01)
        starts = [math.log(at / (1 - at)) for at in (context.options.forget_gate, context.options.input_gate)]
        with torch.no_grad():
            self.gates.bias.copy_(torch.tensor(starts))

    def train(self, mode: bool = True) -> MetaLstm:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, support: torch.Tensor, labels: torch.Tensor, query: torch.Tensor, n_way: int) -> torch.Tensor:  # type: ignore[override]
        start = {
            **{f"backbone.{name}": weight for name, weight in self.backbone.named_parameters()},
            **{f"head.{name}": weight for name, weight in self.head_weights(n_way).items()},
        }
        weights = self.adapt(start, support, labels)
        with normalised_by(self.backbone, support.shape[1]):
            logits = of_each(self.logits, weights, torch.cat([support, query], dim=1))
        return logits[:, support.shape[1] :]

    def adapt(self, start: Weights, support: torch.Tensor, labels: torch.Tensor) -> Weights:
        """Weights (E, …) of each episode after the updates, all of them from ``start``."""
        n_episodes = len(support)
        cell = flat({name: weight.expand(n_episodes, *weight.shape) for name, weight in start.items()})  # (E·P,)
        state, before = None, cell.new_zeros(len(cell), 2)
        for _ in range(self.options.updates):
            gradients, losses = self.descent(unflat(cell.detach(), start, n_episodes), support, labels)
            of_losses = preprocessed(losses).repeat_interleave(len(cell) // n_episodes, dim=0)  # (E·P, 2)
            with torch.autocast(cell.device.type, enabled=False):
                state = self.lstm(torch.cat([of_losses, preprocessed(gradients)], dim=1), state)
                before = torch.sigmoid(self.gates(torch.cat([state[0], cell[:, None]], dim=1)) + self.own * before)
            forget, enter = before.unbind(1)
            cell = forget * cell - enter * gradients
        return unflat(cell, start, n_episodes)

    def descent(
        self, weights: Weights, support: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients (E·P,) and values (E,) of the supports' loss at ``weights`` (E, …), as constants."""

        def loss(weights: Weights, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(self.logits(weights, images), labels)

        with torch.no_grad(), normalised_by(self.backbone, None, fused=True):
            gradients, losses = vmap(grad_and_value(loss))(dict(weights), support, labels)
        return flat(gradients), losses

    def logits(self, weights: Weights, images: torch.Tensor) -> torch.Tensor:
        """(N, n_way) float32 of images (N, C, H, W) of one episode, under ``weights`` of backbone and head."""
        of_backbone = {name.removeprefix("backbone."): w for name, w in weights.items() if name.startswith("backbone.")}
        features = functional_call(self.backbone, of_backbone, (images,))
        return in_float32(features, weights["head.weight"], weights["head.bias"])


def preprocessed(values: torch.Tensor) -> torch.Tensor:
    """Logarithm and sign of values (N,), or -1 and the value enlarged where it is tiny: (N, 2).

    Source: Ravi and Larochelle 2017, section 3.2; Andrychowicz et al. 2016, appendix A.
    """
    size = values.abs()
    tiny = size < math.exp(-SMALLNESS)
    logarithm = torch.where(tiny, -1.0, size.clamp_min(math.exp(-SMALLNESS)).log() / SMALLNESS)
    return torch.stack([logarithm, torch.where(tiny, values * math.exp(SMALLNESS), values.sign())], dim=1)


def flat(weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(E·P,) of weights (E, …), episode by episode."""
    return torch.cat([weight.flatten(1) for weight in weights.values()], dim=1).flatten()


def unflat(cell: torch.Tensor, like: Weights, n_episodes: int) -> Weights:
    """Weights (E, …) by name, of (E·P,)."""
    parts = cell.unflatten(0, (n_episodes, -1)).split([weight.numel() for weight in like.values()], dim=1)
    return {name: part.unflatten(1, weight.shape) for (name, weight), part in zip(like.items(), parts, strict=True)}

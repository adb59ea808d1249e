"""The losses of metric learning, by name: pytorch-metric-learning's, with what their papers add, and centres."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from pytorch_metric_learning import distances, losses, miners, regularizers
from pytorch_metric_learning.utils import common_functions
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from harness_metric.pretraining import MetricOptions

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # features (B, D), labels (B,) → a scalar


def criterion(options: MetricOptions, n_features: int, n_classes: int) -> nn.Module:
    """The loss that ``options.loss`` names, a module from features (B, D) and labels (B,) to a scalar."""
    sizes = {"embedding_size": n_features, "num_classes": n_classes}
    margin, scale = options.margin, options.scale
    match options.loss:
        case "triplet-hard":
            return Mined(losses.TripletMarginLoss(margin=margin or 0.2), miners.BatchHardMiner())
        case "triplet-semi-hard":
            miner = miners.TripletMarginMiner(margin=margin or 0.2, type_of_triplets="semihard")
            return Mined(losses.TripletMarginLoss(margin=margin or 0.2), miner)
        case "n-pairs":
            of_pairs = losses.NPairsLoss(
                distance=distances.DotProductSimilarity(normalize_embeddings=False),  # the paper's, not the library's
                embedding_regularizer=regularizers.LpRegularizer(p=2, power=2),
                embedding_reg_weight=options.norm_weight,
            )
            return Shortened(of_pairs, n_features)
        case "angular":
            return Normalised(losses.AngularLoss(alpha=margin or 45))
        case "center":
            return CenterLoss(n_features, n_classes, options.center_weight)
        case "l-softmax":
            start = common_functions.TorchInitWrapper(
                nn.init.xavier_uniform_
            )  # lengths matter here, unlike in the next
            return AnnealedLargeMargin(margin=margin or 4, weight_init_func=start, **sizes)
        case "sphereface":
            return AnnealedSphereFace(margin=margin or 4, **sizes)
        case "cosface":
            return losses.CosFaceLoss(margin=margin or 0.35, scale=scale or 30, **sizes)
        case _:
            return losses.ArcFaceLoss(margin=margin or 28.6, scale=scale or 30, **sizes)


class Mined(nn.Module):
    """A loss on the triplets of a batch that a miner picks."""

    def __init__(self, of_triplets: nn.Module, miner: nn.Module) -> None:
        super().__init__()
        self.of_triplets = of_triplets
        self.miner = miner

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.of_triplets(features, labels, self.miner(features, labels))


class Normalised(nn.Module):
    """A loss on features of length one.

    The angular loss is about those. The library's brings anchors and positives to length one and not the negatives,
    so that features of length zero would be best.
    """

    def __init__(self, of_features: nn.Module) -> None:
        super().__init__()
        self.of_features = of_features

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.of_features(F.normalize(features), labels)


class Shortened(nn.Module):
    """A loss on products of features, which are divided by the root of D: those of a fresh backbone drown its softmax.

    So features themselves are divided by the fourth root of D.
    """

    def __init__(self, of_features: nn.Module, n_features: int) -> None:
        super().__init__()
        self.of_features = of_features
        self.length = n_features**0.25

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.of_features(features / self.length, labels)


class CenterLoss(nn.Module):
    """Cross-entropy, and half the squared distance to the centre of the image's class, weighted.

    Centres are no weights: in each step they move towards the features of their class, half of the way at most.

    Source: Wen et al. 2016, "A discriminative feature learning approach for deep face recognition", eq. 2 to 5.
    """

    centres: torch.Tensor  # (n_classes, D)

    def __init__(self, n_features: int, n_classes: int, weight: float, rate: float = 0.5) -> None:
        super().__init__()
        self.weight = weight
        self.rate = rate
        self.classifier = nn.Linear(n_features, n_classes)
        self.register_buffer("centres", torch.zeros(n_classes, n_features))

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        apart = features - self.centres[labels]  # (B, D)
        loss = F.cross_entropy(self.classifier(features), labels)
        loss = loss + 0.5 * self.weight * apart.square().sum(dim=1).mean()
        self._move(apart.detach(), labels)
        return loss

    def _move(self, apart: torch.Tensor, labels: torch.Tensor) -> None:
        total = torch.zeros_like(self.centres).index_add_(0, labels, apart)
        counts = torch.bincount(labels, minlength=len(self.centres))[:, None]
        self.centres += self.rate * total / (1 + counts)


class Annealed:
    """A multiplicative angular margin that sets in by and by.

    The target's logit is (λ·cos θ + ψ(θ)) / (1 + λ), and λ falls from 1,000 to 5. At once, from the start, the margin
    is met most easily by features of length zero.

    Source: Liu et al. 2016, arXiv:1612.02295, section 5.1; λ as in the authors' code.
    """

    steps: torch.Tensor  # () int64

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # type: ignore[attr-defined]

    def modify_cosine_of_target_classes(self, cosine: torch.Tensor) -> torch.Tensor:
        weight = (1000 / (1 + 0.12 * self.steps)).clamp(min=5)
        self.steps += 1
        with_margin = super().modify_cosine_of_target_classes(cosine)  # type: ignore[misc]
        return (weight * cosine + with_margin) / (1 + weight)


class AnnealedLargeMargin(Annealed, losses.LargeMarginSoftmaxLoss):
    """L-softmax. Source: arXiv:1612.02295."""


class AnnealedSphereFace(Annealed, losses.SphereFaceLoss):
    """SphereFace: L-softmax with weights of length one. Source: Liu et al. 2017, arXiv:1704.08063."""

"""The networks of this family, on whatever backbone is asked for."""

from __future__ import annotations

import torch
from torch import nn

import harness
from harness import ClassifierNetwork, FeatureNetwork, in_float32


class ProjectionNetwork(FeatureNetwork):
    """A feature network with a projection head, on which the loss is computed; features are scored without it.

    The head has one hidden layer as wide as the features. Source: Chen et al. 2020, arXiv:2002.05709, section 4.2.
    """

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        width = self.n_features
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, context.options.projection)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Projections (N, projection) float32 of normalised images (N, C, H, W) float32."""
        return in_float32(self.projection, super().forward(images))


class Peers(nn.ModuleDict):
    """Two networks that are trained together, of which the first is kept and scored."""

    def __init__(self, kept: FeatureNetwork, peer: FeatureNetwork) -> None:
        super().__init__({"kept": kept, "peer": peer})

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of images (N, H, W, C) uint8 by the network that is kept."""
        return self["kept"].embed(images)  # type: ignore[no-any-return, operator]


class BranchedNetwork(ClassifierNetwork):
    """A classifier with a branch on each block of the backbone but the last: features like the deepest, and logits.

    A branch narrows a block's maps to a quarter of the feature width, brings them to the size of the last block's,
    widens them to the features, and averages. Source: Zhang et al. 2019, arXiv:1905.08094.
    """

    def __init__(self, context: harness.BuildContext) -> None:
        super().__init__(context)
        if not isinstance(getattr(self.backbone, "blocks", None), nn.Sequential):
            raise harness.HarnessError(
                f"byot needs a backbone with blocks, whose maps it reads; {type(self.backbone).__name__} names none: "
                "use conv4, conv4-gap or resnet12"
            )
        size, channels = context.dataset.image_size, context.dataset.channels
        with torch.no_grad():
            *maps, last = self.eval()._maps(torch.zeros(1, channels, size, size))[1]
        self.train()
        widths = [(block_maps.shape[1], block_maps.shape[2] // last.shape[2]) for block_maps in maps]
        self.branches = nn.ModuleList(branch(width, self.n_features, stride) for width, stride in widths)
        self.shallow_classifiers = nn.ModuleList(nn.Linear(self.n_features, context.n_classes) for _ in widths)

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:  # type: ignore[override]
        """Features (N, D) and logits (N, n_classes) of normalised images (N, C, H, W), shallow to deepest."""
        deepest, maps = self._maps(images)
        features = [
            grow(block_maps).mean((2, 3)).float() for grow, block_maps in zip(self.branches, maps, strict=False)
        ]
        logits = [
            in_float32(layer, branch_features)
            for layer, branch_features in zip(self.shallow_classifiers, features, strict=True)
        ]
        return [*features, deepest], [*logits, in_float32(self.classifier, deepest)]

    def _maps(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Features of the backbone, and the maps (N, C, H, W) that its blocks gave on the way."""
        maps: list[torch.Tensor] = []
        hooks = [block.register_forward_hook(lambda *call: maps.append(call[2])) for block in self.backbone.blocks]  # type: ignore[union-attr]
        try:
            return self.backbone(images).float(), maps
        finally:
            for hook in hooks:
                hook.remove()


def branch(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """Maps (N, n_out, H // stride, W // stride) of maps (N, n_in, H, W)."""
    middle = max(1, n_out // 4)
    return nn.Sequential(
        *(nn.Conv2d(n_in, middle, 1), nn.BatchNorm2d(middle), nn.ReLU()),
        *(nn.Conv2d(middle, middle, stride, stride), nn.BatchNorm2d(middle), nn.ReLU()),
        *(nn.Conv2d(middle, n_out, 1), nn.BatchNorm2d(n_out), nn.ReLU()),
    )

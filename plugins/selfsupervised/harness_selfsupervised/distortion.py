"""The distorted views of contrastive learning, a whole batch at once on its device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

RATIO = 4 / 3  # the longest side of a crop by its shortest, at most
LUMA = (0.299, 0.587, 0.114)
HUE = 0.2  # of a turn at jitter 1; brightness, contrast and saturation vary by 0.8
JITTERED, GREYED = 0.8, 0.2  # shares of the images

# Between red, green, blue and brightness with two axes of colour (YIQ), in which a change of hue is a rotation.
TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@dataclass(frozen=True)
class Distortion:
    """A random crop enlarged to the image's size, colour distortion and grey: what a recipe changes images with.

    Args:
        smallest_crop: the smallest share of the area that a crop shows, 0..1.
        jitter: strength of the colour distortion, 0..1.
        flip: whether half of the images are mirrored.
    Source: Chen et al. 2020, arXiv:2002.05709, appendix A, without blur, as the authors have it for small images.
    """

    smallest_crop: float = 0.08
    jitter: float = 0.5
    flip: bool = True

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images (N, H, W, C) float32, 0..255, of images (N, H, W, C) uint8."""
        uniform = torch.rand((len(images), 12), generator=generator, device=images.device)
        planes = images.permute(0, 3, 1, 2).float().div_(255)
        changed = self._crop(planes, uniform[:, :5])
        if self.jitter:
            changed = self._distort_colours(changed, uniform[:, 5:])
        return changed.mul_(255).permute(0, 2, 3, 1)

    def _crop(self, planes: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        area = self.smallest_crop + (1 - self.smallest_crop) * uniform[:, 0]
        stretch = torch.exp(math.log(RATIO) * (uniform[:, 1] - 0.5))  # the square root of width by height
        width, height = (area.sqrt() * stretch).clamp_max(1), (area.sqrt() / stretch).clamp_max(1)
        flips = torch.where(uniform[:, 4] < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(width)
        affine = planes.new_zeros((len(planes), 2, 3))
        affine[:, 0, 0], affine[:, 0, 2] = width * flips, (1 - width) * (2 * uniform[:, 2] - 1)
        affine[:, 1, 1], affine[:, 1, 2] = height, (1 - height) * (2 * uniform[:, 3] - 1)
        grid = F.affine_grid(affine, list(planes.shape), align_corners=False)
        return F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _distort_colours(self, planes: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Brightness, contrast, saturation and hue of most images, and some without colour."""
        chosen = uniform[:, 0] < JITTERED
        size = 0.8 * self.jitter
        factors = torch.where(chosen[:, None], 1 - size + 2 * size * uniform[:, 1:4], 1.0)[:, :, None, None, None]
        turns = torch.where(chosen, HUE * self.jitter * (2 * uniform[:, 4] - 1), 0.0)
        planes = (planes * factors[:, 0]).clamp_(0, 1)
        mean = greyscale(planes).mean((2, 3), keepdim=True)
        planes = torch.lerp(mean, planes, factors[:, 1]).clamp_(0, 1)
        if planes.shape[1] == 1:
            return planes
        planes = torch.lerp(greyscale(planes), planes, factors[:, 2]).clamp_(0, 1)
        planes = turn_hue(planes, turns).clamp_(0, 1)
        return torch.where((uniform[:, 5] < GREYED)[:, None, None, None], greyscale(planes), planes)


def greyscale(planes: torch.Tensor) -> torch.Tensor:
    """Brightness (N, 1, H, W) of images (N, C, H, W), C = 1 or 3."""
    if planes.shape[1] == 1:
        return planes
    return (planes * planes.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def turn_hue(planes: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) with their colours turned around the axis of grey, by (N,) turns of 360°."""
    to_yiq = TO_YIQ.to(planes.device)
    cosine, sine = torch.cos(2 * math.pi * turns), torch.sin(2 * math.pi * turns)
    rotation = torch.eye(3, device=planes.device).repeat(len(turns), 1, 1)
    rotation[:, 1, 1], rotation[:, 1, 2], rotation[:, 2, 1], rotation[:, 2, 2] = cosine, -sine, sine, cosine
    matrix = torch.linalg.inv(to_yiq) @ rotation @ to_yiq  # (N, 3, 3)
    return torch.einsum("nij,njhw->nihw", matrix, planes)

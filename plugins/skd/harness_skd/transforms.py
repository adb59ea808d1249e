"""What Gen-0's second head tells apart: each transform makes copies of a batch, all with the image's class.

Image i in copy t lies at ``t·B + i``, and copy t is output t of the head.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from harness import rotations4

if TYPE_CHECKING:
    from harness import Augmentation

COLOURS = tuple(itertools.permutations(range(3)))  # of red, green, blue
TILES = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2))  # no two have a tile in the same place
SCALES = (1.0, 0.9, 0.8, 0.7)


@dataclass(frozen=True)
class Transform:
    """Copies of a batch, ``outputs`` an image.

    Calling it with images (B, C, H, W) returns what the network trains on, (copies·B, C, H, W) in channels_last: the
    copies, after the images themselves where no copy is the image as it is.
    """

    outputs: int  # what the second head tells apart
    make: Callable[[torch.Tensor], torch.Tensor]  # (B, C, H, W) → (outputs·B, C, H, W)
    with_images: bool = False  # no copy is the image itself, which is what the network meets in a test
    keeps_class: Callable[[Augmentation], bool] = lambda augmentation: True

    @property
    def copies(self) -> int:
        """How often the network sees an image."""
        return self.outputs + self.with_images

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        made = self.make(images)
        views = torch.cat([images, made]) if self.with_images else made
        return views.contiguous(memory_format=torch.channels_last)

    def other_copies(self, images: torch.Tensor) -> torch.Tensor:
        """A copy of each image, drawn among those that are not the image itself: (B, C, H, W).

        Drawn from torch's global generator, which the training loop seeds for each epoch, as for dropout.
        """
        n = len(images)
        first = 0 if self.with_images else 1
        which = torch.randint(first, self.outputs, (n,), device=images.device)
        return self.make(images).unflatten(0, (self.outputs, n))[which, torch.arange(n, device=images.device)]


def flips(images: torch.Tensor) -> torch.Tensor:
    """Each image as it is, mirrored left-right, mirrored top-bottom, and both: (4B, C, H, W)."""
    return torch.cat([images, images.flip(3), images.flip(2), images.flip(2, 3)])


def colours(images: torch.Tensor) -> torch.Tensor:
    """Each image with its channels in the six orders of ``COLOURS``: (6B, 3, H, W).

    Source: Lee et al. 2020, arXiv:1910.05872, section 2.3.
    """
    return torch.cat([images[:, order] for order in map(list, COLOURS)])


def jigsaw(images: torch.Tensor) -> torch.Tensor:
    """Each image with its 2×2 tiles in the four orders of ``TILES``: (4B, C, H, W).

    An odd row or column in the middle stays where it is. Source: after Noroozi and Favaro 2016, arXiv:1603.09246.
    """
    h, w = images.shape[2] // 2, images.shape[3] // 2
    tiles = [images[:, :, y, x] for y in (slice(h), slice(-h, None)) for x in (slice(w), slice(-w, None))]
    copies = []
    for order in TILES:
        copy = images.clone()
        copy[:, :, :h, :w], copy[:, :, :h, -w:], copy[:, :, -h:, :w], copy[:, :, -h:, -w:] = (tiles[i] for i in order)
        copies.append(copy)
    return torch.cat(copies)


def quadrants(images: torch.Tensor) -> torch.Tensor:
    """The quadrants of each image, enlarged to its size: (4B, C, H, W).

    All top left ones, then top right, bottom left, bottom right.
    """
    _, _, height, width = images.shape
    h, w = height // 2, width // 2
    crops = torch.cat([images[:, :, y : y + h, x : x + w] for y in (0, height - h) for x in (0, width - w)])
    return F.interpolate(crops, size=(height, width), mode="bilinear", align_corners=False)


def sizes(images: torch.Tensor) -> torch.Tensor:
    """Each image as it is and shrunk about its centre to the other ``SCALES``: (4B, C, H, W).

    What lies outside repeats the image's edge.
    """
    copies = [images]
    for scale in SCALES[1:]:
        matrix = images.new_tensor([[1 / scale, 0, 0], [0, 1 / scale, 0]]).expand(len(images), 2, 3)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        copies.append(F.grid_sample(images, grid, padding_mode="border", align_corners=False))
    return torch.cat(copies)


TRANSFORMS = {
    "rotation": Transform(4, rotations4, keeps_class=lambda augmentation: augmentation.rotation_keeps_class),
    "patch": Transform(4, quadrants, with_images=True),
    "flips": Transform(4, flips, keeps_class=lambda augmentation: augmentation.rotation_keeps_class),
    "colours": Transform(6, colours),
    "jigsaw": Transform(4, jigsaw),
    "sizes": Transform(4, sizes),
}

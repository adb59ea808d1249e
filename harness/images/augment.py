"""Random changes of a whole batch at once, on the device it lies on; and the rotations of self-supervision.

Images come as uint8 (B, H, W, C), pixels 0..255, and leave as normalised float32 (B, C, H, W) in channels_last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from harness.contract.data import Augmentation

LUMA = (0.2989, 0.587, 0.114)  # of red, green, blue, as torchvision weighs them

BRIGHTNESS, CONTRAST, SATURATION = range(3)

ASPECT = 4 / 3  # of an enlarged crop, or its inverse, as in torchvision's RandomResizedCrop

GROUP_PIXELS = 2**19  # that ``Augmenter.stream`` changes at once: 512 images of 32×32, a batch of 84×84


@dataclass(frozen=True)
class Parameters:
    """What to do with each image of a batch. Indexing picks images: ``parameters[rank * 32 : rank * 32 + 32]``."""

    rows: torch.Tensor  # (B,) int32, 0..2·padding: the crop's upper edge in the padded image
    cols: torch.Tensor  # (B,) int32, 0..2·padding: its left edge
    flips: torch.Tensor  # (B,) bool, mirrored left-right after the crop
    factors: torch.Tensor  # (B, 3) float32 of brightness, contrast, saturation; 1 leaves the image as it is
    order: torch.Tensor  # (B, 3) int64, a permutation of BRIGHTNESS, CONTRAST, SATURATION: which comes first
    boxes: (
        torch.Tensor
    )  # (B, 4) float32, shares of the image: height and width of an enlarged crop, its upper left edge
    greys: torch.Tensor  # (B,) bool, without colour after the jitter

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice | torch.Tensor) -> Parameters:
        return Parameters(*(getattr(self, field.name)[which] for field in fields(self)))


class Augmenter:
    """Random crop, colour jitter, flip and normalisation of batches, each image with parameters of its own.

    Agrees image by image with torchvision's ``crop`` after ``pad``, ``adjust_brightness``, ``adjust_contrast`` and
    ``adjust_saturation`` in the image's own order, ``hflip`` and ``normalize``, under the same parameters and on
    float images. Departure: the authors of RFS and SKD jitter uint8 images, which truncates to 1/255 between steps.

    Args:
        augmentation: which changes, and their size.
        mean, std: one number a channel, of pixels scaled to 0..1.
    """

    def __init__(self, augmentation: Augmentation, mean: Sequence[float], std: Sequence[float]) -> None:
        self.augmentation = augmentation
        self._mean = torch.tensor(mean, dtype=torch.float32)
        self._std = torch.tensor(std, dtype=torch.float32)

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Parameters of ``n`` images, on the generator's device.

        Draw for a whole epoch, or for the global batch, and index: then the n-th image meets the same change however
        many processes share the work.
        """
        chosen, device = self.augmentation, generator.device
        uniform = torch.rand((n, 9), generator=generator, device=device)  # a fixed number of draws an image
        span = 2 * chosen.crop_padding
        places = (uniform[:, :2] * (span + 1)).to(torch.int32).clamp_max(span)  # rounding may reach span + 1
        low, high = max(0.0, 1 - chosen.jitter), 1 + chosen.jitter
        return Parameters(
            rows=places[:, 0],
            cols=places[:, 1],
            flips=uniform[:, 2] < 0.5 if chosen.flip else torch.zeros(n, dtype=torch.bool, device=device),
            factors=low + (high - low) * uniform[:, 3:6],
            order=uniform[:, 6:].argsort(1),
            **self._draw_rarer(n, generator),
        )

    def _draw_rarer(self, n: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """``boxes`` and ``greys``, which take numbers from the generator only where they are asked for."""
        chosen, device = self.augmentation, generator.device
        if chosen.crop_scale == 1 and not chosen.grey:
            whole = torch.tensor([1.0, 1.0, 0.0, 0.0], device=device).expand(n, 4)
            return {"boxes": whole, "greys": torch.zeros(n, dtype=torch.bool, device=device)}
        uniform = torch.rand((n, 5), generator=generator, device=device)
        area = chosen.crop_scale + (1 - chosen.crop_scale) * uniform[:, 0]
        root_of_aspect = torch.exp((uniform[:, 1] - 0.5) * math.log(ASPECT))  # aspect from 3:4 to 4:3
        sides = (area.sqrt()[:, None] * torch.stack([1 / root_of_aspect, root_of_aspect], dim=1)).clamp_max(1)
        edges = (1 - sides) * uniform[:, 2:4]
        return {"boxes": torch.cat([sides, edges], dim=1), "greys": uniform[:, 4] < chosen.grey}

    def apply(self, images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
        """Changed and normalised images (B, C, H, W) float32 in channels_last, of images (B, H, W, C) uint8."""
        self._to(images.device)
        chosen = self.augmentation
        if chosen.crop_padding or chosen.flip:
            images = crop_and_flip(images, parameters.rows, parameters.cols, parameters.flips, chosen.crop_padding)
        if not chosen.jitter and chosen.crop_scale == 1 and not chosen.grey:
            return normalise(images, self._mean, self._std)
        planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        if chosen.crop_scale < 1:
            planes = enlarge(planes, parameters.boxes)
        if chosen.jitter:
            jitter_(planes, parameters.factors, parameters.order)
        if chosen.grey:
            planes = torch.where(parameters.greys[:, None, None, None], greyscale(planes), planes)
        planes.sub_(self._mean[:, None, None]).div_(self._std[:, None, None])
        return planes.contiguous(memory_format=torch.channels_last)

    def stream(
        self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], parameters: Parameters
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each batch as ``apply`` changes it, with its labels, in order.

        Several small batches are changed at once, which spares a processor a third of the time, a GPU most launches.

        Args:
            batches: images (B, H, W, C) uint8 and labels (B,).
            parameters: of all their images, one batch after the other.
        """
        waiting, done = iter(batches), 0
        for first in waiting:
            more = GROUP_PIXELS // first[0][..., 0].numel() - 1
            group = [first, *islice(waiting, max(0, more))]
            images = torch.cat([images for images, _ in group])
            changed = self.apply(images, parameters[done : done + len(images)])
            done += len(images)
            sizes = [len(labels) for _, labels in group]
            yield from zip(changed.split(sizes), [labels for _, labels in group], strict=True)

    def _to(self, device: torch.device) -> None:
        if self._mean.device != device:  # once: a copy to the device a step would stall it
            self._mean, self._std = self._mean.to(device), self._std.to(device)


def normalise(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(pixels / 255 - mean) / std: (B, C, H, W) float32 in channels_last, of images (B, H, W, C) uint8.

    Args:
        mean, std: (C,) float32 on the images' device, of pixels scaled to 0..1.
    """
    n, height, width, channels = images.shape
    rows = images.reshape(n, height, width * channels).float()  # long rows: five times as fast as rows of C
    rows.mul_((1 / (255 * std)).repeat(width)).add_((-mean / std).repeat(width))
    return rows.view(n, height, width, channels).permute(0, 3, 1, 2)


def crop_and_flip(
    images: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor, flips: torch.Tensor, padding: int
) -> torch.Tensor:
    """Crops of the zero-padded images, some mirrored left-right: (B, H, W, C) uint8, one gather for all.

    Args:
        images: (B, H, W, C) uint8.
        rows, cols: (B,) integers 0..2·padding, the crop's corner in the padded image; ``padding`` leaves it in place.
        flips: (B,) bool.
        padding: pixels on each side.
    """
    n, height, width, channels = images.shape
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    line, area = padded.shape[2], padded.shape[1] * padded.shape[2]  # pixels of a row, of an image
    corners = _counting(n, area, images) + rows.int() * line + cols.int()  # (B,)
    upright = _counting(height, line, images)[:, None] + _counting(width, 1, images)  # (H, W)
    pixels = torch.where(flips[:, None, None], upright.flip(1), upright) + corners[:, None, None]  # (B, H, W)
    return padded.view(-1, channels).index_select(0, pixels.view(-1)).view(images.shape)


def enlarge(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Crops of the images, enlarged to their size: (B, C, H, W), bilinear.

    Args:
        images: (B, C, H, W) float32.
        boxes: (B, 4), shares of the image: the crop's height and width, its upper and left edge.
    """
    height, width, top, left = boxes.unbind(dim=1)
    zero = torch.zeros_like(height)
    across, down = 2 * left + width - 1, 2 * top + height - 1  # the centre, from -1 to 1
    matrix = torch.stack([torch.stack([width, zero, across], 1), torch.stack([zero, height, down], 1)], dim=1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _counting(n: int, step: int, like: torch.Tensor) -> torch.Tensor:
    """0, step, …, (n - 1)·step: (n,) int32 on the device of ``like``."""
    return torch.arange(0, n * step, step, dtype=torch.int32, device=like.device)


def jitter_(images: torch.Tensor, factors: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast and saturation of each image changed in place, in each image's own order.

    Each of the three blends the image with another one, ``x ← clamp(f·x + (1 - f)·other)``: with black, with the mean
    of its grey image, with its grey image. So three rounds of one formula serve all orders at once.

    Args:
        images: (B, C, H, W) float32, 0..1, C = 1 or 3. With C = 1 there is no saturation to change.
        factors: (B, 3) of brightness, contrast, saturation.
        order: (B, 3) permutations of 0, 1, 2.
    """
    amounts = factors.gather(1, order)  # (B, 3), in the order of the rounds
    if images.shape[1] == 1:
        amounts = amounts.masked_fill(order == SATURATION, 1.0)
    amounts = amounts[:, :, None, None, None]  # (B, 3, 1, 1, 1), as the two below
    to_grey = (1 - amounts) * (order == SATURATION)[:, :, None, None, None]
    to_mean = (1 - amounts) * (order == CONTRAST)[:, :, None, None, None]
    for i in range(3):
        grey = greyscale(images)  # (B, 1, H, W)
        other = grey * to_grey[:, i] + grey.mean((2, 3), keepdim=True) * to_mean[:, i]
        torch.addcmul(other, images, amounts[:, i], out=images).clamp_(0, 1)
    return images


def greyscale(images: torch.Tensor) -> torch.Tensor:
    """Brightness (B, 1, H, W) of images (B, C, H, W), C = 1 or 3."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])

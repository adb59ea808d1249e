"""Images turned by quarters."""

from __future__ import annotations

import torch


def rotate(images: torch.Tensor, quarter_turns: int | torch.Tensor) -> torch.Tensor:
    """Images turned counter-clockwise, as ``torch.rot90`` turns them: (B, C, S, S), in channels_last.

    Args:
        images: (B, C, S, S), square.
        quarter_turns: one number for all, or (B,) int64, each 0..3.
    """
    if isinstance(quarter_turns, int):
        return torch.rot90(images, quarter_turns, (2, 3)).contiguous(memory_format=torch.channels_last)
    n, channels, side, _ = images.shape
    place = torch.arange(side * side, device=images.device).view(side, side)
    sources = torch.stack([torch.rot90(place, turns).reshape(-1) for turns in range(4)])  # (4, S·S)
    index = sources[quarter_turns][:, :, None].expand(n, side * side, channels)
    pixels = images.permute(0, 2, 3, 1).reshape(n, side * side, channels)
    return pixels.gather(1, index).view(n, side, side, channels).permute(0, 3, 1, 2)


def rotations4(images: torch.Tensor) -> torch.Tensor:
    """Every image in its four rotations, (4·B, C, S, S) in channels_last: all at 0°, then all at 90°, 180°, 270°.

    Counter-clockwise, as ``torch.rot90``. Image i in rotation r lies at ``r·B + i``: the rotation labels are
    ``torch.arange(4).repeat_interleave(B)``, the class labels ``labels.repeat(4)``.
    """
    turned = [images, *(torch.rot90(images, turns, (2, 3)) for turns in (1, 2, 3))]
    return torch.cat(turned).contiguous(memory_format=torch.channels_last)

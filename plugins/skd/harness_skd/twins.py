"""The twins of Gen-1: another view of each image, which its logits are kept close to."""

from __future__ import annotations

from typing import Any

import torch

from harness import rotate, rotations4
from harness_skd.transforms import TRANSFORMS, Transform


def copied_by(options: Any) -> Transform | None:
    """What makes the twins where they are copies as Gen-0 makes them; None where they are turned images."""
    if options.twin != "copy":
        return None
    return TRANSFORMS.get(options.self_supervision, TRANSFORMS["rotation"])


def with_twins(options: Any, images: torch.Tensor) -> tuple[torch.Tensor, slice | torch.Tensor]:
    """What the student sees, (copies·B, C, S, S), the images first; and where in it the twins of the B images are."""
    n = len(images)
    transform = copied_by(options)
    if transform:
        return torch.cat([images, transform.other_copies(images)]), slice(n, None)
    turns = quarter_turns(options.twin, images)
    if options.gen1_forward == "twins":
        return torch.cat([images, rotate(images, turns)]), slice(n, None)
    if isinstance(turns, int):
        return rotations4(images), slice(turns * n, (turns + 1) * n)
    return rotations4(images), turns * n + torch.arange(n, device=images.device)


def quarter_turns(twin: str, images: torch.Tensor) -> int | torch.Tensor:
    """How many quarter turns make the twins: one number for all, or where ``twin`` is ``random`` (B,) int64, 1..3.

    Drawn from torch's global generator, which the training loop seeds for each epoch, as for dropout.
    """
    if twin == "random":
        return torch.randint(1, 4, (len(images),), device=images.device)
    return int(twin) // 90

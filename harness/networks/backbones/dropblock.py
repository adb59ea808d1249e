"""DropBlock: dropout of whole squares of a map, at a rate that rises with the training steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SCHEDULE_STEPS = 40_000


class DropBlock(nn.Module):
    """Maps of the shape given, (N, C, H, W), with squares set to zero and the rest scaled up to keep the mean.

    In step t (from 1) of training the keep rate is ``1 - drop_rate · min(t / 40,000, 1)``; a square starts at each of
    the (H - b + 1)·(W - b + 1) places with the probability at which that share of units is kept, but for overlaps.
    A step is a forward in train mode: evaluation leaves the schedule as it is. The step is a tensor in the state dict
    (``drop_steps``), so a resumed training goes on where it was, and no step waits for the device. Masks come from
    torch's global generator, like those of dropout: the training loop seeds it from (seed, epoch).

    Departures from the code of RFS, which keeps its step outside the state dict and counts evaluation too; the squares
    are never larger than the map (at 28×28 the last map is 1×1, where the plain formula divides by zero).

    Source: Ghiasi et al. 2018, algorithm 1; schedule and scaling as in the code of Tian et al. 2020 (RFS).
    """

    drop_steps: torch.Tensor  # () int64

    def __init__(self, drop_rate: float, block_size: int) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.block_size = block_size
        self.register_buffer("drop_steps", torch.zeros((), dtype=torch.int64))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if not self.training or self.drop_rate == 0:
            return maps
        self.drop_steps += 1
        n, channels, height, width = maps.shape
        block = min(self.block_size, height, width)
        places = (height - block + 1, width - block + 1)
        probability = self.dropped_share() / block**2 * (height * width) / (places[0] * places[1])  # ()
        # Drawn in channels_last order, the memory format of training.
        uniform = torch.rand((n, *places, channels), device=maps.device).permute(0, 3, 1, 2)
        keep = 1 - covered(uniform < probability, block)  # (N, C, H, W) float32 of 0 and 1
        scale = keep.numel() / keep.sum().clamp_min(1)
        return maps * (keep * scale).to(maps.dtype)

    def dropped_share(self) -> torch.Tensor:
        """The share of units to drop in this step, () float32, 0..drop_rate."""
        return self.drop_rate * (self.drop_steps / SCHEDULE_STEPS).clamp_max(1)


def covered(starts: torch.Tensor, block: int) -> torch.Tensor:
    """1 where a square of ``block``×``block`` covers the unit, else 0: (N, C, H, W) float32.

    Args:
        starts: (N, C, H - block + 1, W - block + 1) bool, true where a square has its upper left corner.
    """
    if block == 1:
        return starts.float()
    margin = block - 1
    return F.max_pool2d(F.pad(starts.float(), (margin, margin, margin, margin)), block, stride=1)


def restart_schedules(network: nn.Module) -> None:
    """Set every DropBlock in ``network`` back to its first step, as a stage does that starts from trained weights.

    The reference code does so in effect; carried over, the new stage would meet full DropBlock from its first step.
    """
    for module in network.modules():
        if isinstance(module, DropBlock):
            module.drop_steps.zero_()

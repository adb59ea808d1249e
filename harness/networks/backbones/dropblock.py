"""DropBlock: dropout of whole squares of a map, at a rate that rises with the training steps."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from harness.common.errors import HarnessError

SCHEDULE_STEPS = 40_000

Masks = Literal["whole", "reference"]


class DropBlock(nn.Module):
    """Maps of the shape given, (N, C, H, W), with squares set to zero and the rest scaled up to keep the mean.

    In step t (from 1) of training the keep rate is ``1 - drop_rate · min(t / 40,000, 1)``; a square starts at each of
    the (H - b + 1)·(W - b + 1) places with the probability at which that share of units is kept, but for overlaps.
    A step is a forward in train mode: evaluation leaves the schedule as it is. The step is a tensor in the state dict
    (``drop_steps``), so a resumed training goes on where it was, and no step waits for the device. Masks come from
    torch's global generator, like those of dropout: the training loop seeds it from (seed, epoch).

    Departures from the code of RFS and SKD; ``follow_reference`` undoes the first two:

    - Their squares are rarely whole: the list of squares, repeated b² times, stands beside the list of offsets within a
      square, repeated n times, so that square i is dropped at offset j only if i ≡ j modulo gcd(n, b²), n being the
      number of squares in the batch. Where 10 % is meant they drop 7.5 % (2×2 squares on 4×4 maps), 8.0 % (2×2 on 2×2),
      7.9 % (5×5 on 10×10) and 8.7 % (5×5 on 5×5), and whole squares 9.6, 10.0, 9.3 and 10.1 %.
    - Their step is counted in evaluation too, on CIFAR-FS three times as fast as in training alone, and kept outside
      the state dict.
    - Squares are never larger than the map (at 28×28 the last map is 1×1, where the plain formula divides by zero).

    Source: Ghiasi et al. 2018, algorithm 1; schedule and scaling as in the code of Tian et al. 2020 (RFS).
    """

    drop_steps: torch.Tensor  # () int64, forwards in train mode

    def __init__(self, drop_rate: float, block_size: int) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.block_size = block_size
        self.masks: Masks = "whole"
        self.epoch_steps = 1
        self.evaluation_forwards = 0  # counted after every ``epoch_steps`` training steps
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
        dropped = covered if self.masks == "whole" else covered_as_reference
        keep = 1 - dropped(uniform < probability, block)  # (N, C, H, W) float32 of 0 and 1
        scale = keep.numel() / keep.sum().clamp_min(1)
        return maps * (keep * scale).to(maps.dtype)

    def dropped_share(self) -> torch.Tensor:
        """The share of units to drop in this step, () float32, 0..drop_rate."""
        steps = self.drop_steps
        if self.evaluation_forwards:
            steps = steps + (steps - 1).clamp_min(0) // self.epoch_steps * self.evaluation_forwards
        return self.drop_rate * (steps / SCHEDULE_STEPS).clamp_max(1)


def covered(starts: torch.Tensor, block: int) -> torch.Tensor:
    """1 where a square of ``block``×``block`` covers the unit, else 0: (N, C, H, W) float32.

    Args:
        starts: (N, C, H - block + 1, W - block + 1) bool, true where a square has its upper left corner.
    """
    if block == 1:
        return starts.float()
    margin = block - 1
    return F.max_pool2d(F.pad(starts.float(), (margin, margin, margin, margin)), block, stride=1)


def covered_as_reference(starts: torch.Tensor, block: int) -> torch.Tensor:
    """``covered``, but each square with those of its units alone that the code of RFS and SKD drops.

    With n squares in all, numbered as they lie in memory, and a square's units numbered row by row, unit j of square i
    is dropped if i ≡ j modulo gcd(n, block²); the unit at ((block - 1) // 2, (block - 1) // 2) always is.
    """
    n, channels, height, width = starts.shape
    margin = block - 1
    dropped = starts.new_zeros((n, channels, height + margin, width + margin))
    numbers = starts.flatten().cumsum(0).view(starts.shape) - 1  # (N, C, H', W'): of the square that starts there
    step = torch.gcd(starts.sum(), torch.full((), block**2, device=starts.device))  # (); 1 or more
    always = margin // 2 * (block + 1)
    for unit in range(block**2):
        row, column = divmod(unit, block)
        chosen = starts if unit == always else starts & ((numbers - unit) % step == 0)
        dropped[:, :, row : row + height, column : column + width] |= chosen
    return dropped.float()


def follow_reference(network: nn.Module, masks: Masks, epoch_steps: int, evaluation_forwards: int) -> None:
    """Let every DropBlock in ``network`` drop at the rates of the code of RFS and SKD, as far as asked for.

    Args:
        masks: ``whole`` squares, or ``reference``: those of their units that the code drops.
        epoch_steps: training steps an epoch.
        evaluation_forwards: how many forwards the code's step counter runs on between two epochs; 0: none.
    Raises:
        HarnessError: no training steps an epoch, or a negative number of evaluation forwards.
    """
    if epoch_steps < 1 or evaluation_forwards < 0:
        raise HarnessError(
            f"DropBlock with {epoch_steps} training steps and {evaluation_forwards} evaluation forwards an epoch: "
            "give 1 or more, and 0 or more"
        )
    for module in network.modules():
        if isinstance(module, DropBlock):
            module.masks, module.epoch_steps = masks, epoch_steps
            module.evaluation_forwards = evaluation_forwards


def restart_schedules(network: nn.Module) -> None:
    """Set every DropBlock in ``network`` back to its first step, as a stage does that starts from trained weights.

    The reference code does so in effect; carried over, the new stage would meet full DropBlock from its first step.
    """
    for module in network.modules():
        if isinstance(module, DropBlock):
            module.drop_steps.zero_()

"""Whether losses are finite, and from which step on they are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError

if TYPE_CHECKING:
    import torch


def refuse_infinite(metrics: Mapping[str, float], epoch: int) -> None:
    """Raises HarnessError where a metric of an epoch is not finite."""
    if not _finite(metrics):
        raise HarnessError(f"the loss is not finite after epoch {epoch} ({_shown(metrics)}): try a lower learning rate")


def refuse_infinite_steps(
    totals: Mapping[str, torch.Tensor], recent: Sequence[Mapping[str, torch.Tensor]], step: int, epoch: int
) -> None:
    """Raises HarnessError where the losses of some step so far are not finite. Waits for the device.

    Args:
        totals: sums of the losses by name, over all steps of the epoch.
        recent: the losses of the latest steps, those since the last call.
        step: of the last of them, from 1.
        epoch: from 1.
    """
    if _finite(totals):
        return
    for at, losses in enumerate(recent, start=step - len(recent) + 1):
        if not _finite(losses):
            untrained = at == epoch == 1
            advice = "look at its formula and at the data" if untrained else "try a lower learning rate"
            raise HarnessError(
                f"the loss is not finite from step {at} of epoch {epoch} on ({_shown(losses)}): {advice}"
            )
    refuse_infinite({name: float(value) for name, value in totals.items()}, epoch)  # each is finite, their sum is not


def _finite(values: Mapping[str, float | torch.Tensor]) -> bool:
    return all(math.isfinite(value) for value in values.values())


def _shown(values: Mapping[str, float | torch.Tensor]) -> str:
    return ", ".join(f"{name} {float(value):g}" for name, value in values.items())

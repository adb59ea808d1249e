"""How many stages this machine has room for at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.hardware.threads import n_cores

if TYPE_CHECKING:
    from harness.hardware.request import HardwareRequest

GIB = 2**30
STAGE_BYTES = 1.5 * GIB  # of memory that a stage may take beside others: conv4 at 84 pixels takes 1.1
GPU_STAGE_BYTES = 8 * GIB  # of a GPU: resnet12 at 84 pixels in batches of 64 takes 7
GPU_STAGE_CORES = 2  # that feed a stage on a GPU


def room_at_once(machine: HardwareRequest) -> int:
    """How many stages run side by side: a core each on the processor, else what a GPU's memory holds; 1 or more."""
    if machine.devices > 1:
        return 1
    room = [n_cores() // (machine.threads or 1), int(free_memory() // STAGE_BYTES)]
    if on_gpu(machine):
        import torch

        index = int(machine.device.partition(":")[2] or 0)
        free, _ = torch.cuda.mem_get_info(index)
        room = [n_cores() // GPU_STAGE_CORES, int(free // GPU_STAGE_BYTES), room[1]]
    return max(1, min(room))


def on_gpu(machine: HardwareRequest) -> bool:
    """Whether a stage there runs on a GPU of this machine."""
    if machine.device == "cpu":
        return False
    import torch

    return torch.cuda.is_available()


def free_memory() -> float:
    """Bytes that new processes can take; infinite where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return float("inf")

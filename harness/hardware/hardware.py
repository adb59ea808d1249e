"""The machine a stage runs on: device, number format, threads. Importing this module imports no torch.

hardware = choose_hardware("auto", "auto")
prepare_process(hardware)        # once, at the start of a worker, before the first tensor
with hardware.autocast(): ...
"""

from __future__ import annotations

import logging
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from lightning_fabric import Fabric


PRECISIONS = ("auto", "bf16", "32")

DEVICES = ("auto", "cpu", "cuda")

NATIVE_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm, as /proc/cpuinfo names them


@dataclass(frozen=True)
class Hardware:
    """Where and how a stage computes. Made by ``choose_hardware``."""

    device: str  # "cpu", "cuda" or "cuda:1"
    precision: str  # "bf16": convolutions and matrix products in bfloat16, weights in 32 bits; "32": all in 32 bits
    threads: int  # of the processor, within one operation

    def autocast(self) -> AbstractContextManager[None]:
        """A context in which networks run in this precision."""
        import torch

        kind = self.device.partition(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def fabric(self, devices: int = 1) -> Fabric:
        """A Fabric on this device in this precision, data-parallel where ``devices`` is above 1."""
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its precision
        kind, _, index = self.device.partition(":")
        return Fabric(
            accelerator=kind,
            devices=[int(index)] if index and devices == 1 else devices,
            strategy="ddp" if devices > 1 else "auto",
            plugins=[LightningEnvironment()],  # the executor starts the processes, also within a SLURM job
            precision="bf16-mixed" if self.precision == "bf16" else "32-true",
        )

    def describe(self) -> dict[str, str]:
        """The conditions of a number measured here: device, precision, threads and versions."""
        import numpy
        import torch

        from harness.common.version import __version__, installed_version

        return {
            "device": device_name(self.device),
            "precision": self.precision,
            "threads": str(self.threads),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "sklearn": installed_version("scikit-learn"),  # a second to import, and maybe not used
            "harness": __version__,
        }


def choose_hardware(
    device: str = "auto", precision: str = "auto", threads: int | None = None, devices: int = 1, rank: int = 0
) -> Hardware:
    """The hardware of one process, with everything ``auto`` decided.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:INDEX".
        precision: "auto" (bf16 where the device computes it natively), "bf16" or "32".
        threads: of the processor; None leaves torch its own choice, a thread a core, over all processes.
        devices: how many processes train together, a GPU each where there are any.
        rank: which of them this is.
    Raises:
        HarnessError: no such device or precision, or too few GPUs in this machine.
    """
    check_names(device, precision)
    if threads is not None and threads < 1:
        raise HarnessError(f"threads must be 1 or more, got {threads}")
    import torch

    n_gpus = torch.cuda.device_count()
    if device == "auto":
        device = "cuda" if n_gpus else "cpu"
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= n_gpus:
        raise HarnessError(
            f"device {device!r} asked for, but torch {torch.__version__} sees {n_gpus} CUDA GPU(s); "
            "--device cpu needs none"
        )
    if devices > 1 and device != "cpu":
        if device != "cuda":
            raise HarnessError(f"--device {device} names one GPU, --devices {devices} needs more: use --device cuda")
        if devices > n_gpus:
            raise HarnessError(f"--devices {devices}, but torch {torch.__version__} sees {n_gpus} CUDA GPU(s)")
        device = f"cuda:{rank}"
    if precision == "auto":
        precision = "bf16" if has_native_bf16(device) else "32"
    return Hardware(device, precision, threads or max(1, torch.get_num_threads() // devices))


def check_names(device: str, precision: str) -> None:
    """Raises UnknownName where there is no such kind of device or precision, in this machine or any."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UnknownName("device", device, (*DEVICES, "cuda:0"))
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)


def has_native_bf16(device: str) -> bool:
    """Whether bfloat16 is computed by the device itself: GPUs from compute capability 8.0, some processors."""
    if device == "cpu":
        return bool(NATIVE_BF16_FLAGS & cpu_flags())
    import torch

    return torch.cuda.get_device_capability(device) >= (8, 0)


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in Linux's words; empty on other systems."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def device_name(device: str) -> str:
    """The maker's name of the GPU or the processor."""
    if device != "cpu":
        import torch

        return torch.cuda.get_device_name(device)
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


@cache
def _cpuinfo() -> Sequence[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else ()

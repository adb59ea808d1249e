"""The machine a stage runs on: device, number format, threads. Importing this module imports no torch.

hardware = choose_hardware("auto", "auto")
prepare_process(hardware)        # once, at the start of a worker, before the first tensor
with hardware.autocast(): ...
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import re
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, UnknownName

if TYPE_CHECKING:
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
        import sklearn
        import torch

        import harness

        return {
            "device": device_name(self.device),
            "precision": self.precision,
            "threads": str(self.threads),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "sklearn": sklearn.__version__,
            "harness": harness.__version__,
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


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def prepare_process(hardware: Hardware, image_size: int = 32) -> None:
    """Set this process up: threads, allocator, and kernels that give the same bytes each time.

    ``image_size`` (pixels) is that of the images it will work on.

    "bf16" alone is fast on a GPU; "32" is 32 bits, not TF32's 19. cuDNN takes deterministic kernels and does not
    choose them by timing (``benchmark``), which would differ from run to run.
    """
    import torch

    tune_allocator(keep_largest=image_size <= 64)
    torch.set_num_threads(hardware.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to repeat its sums
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def tune_allocator(keep_largest: bool = True) -> bool:
    """Let glibc keep freed memory for the next batch in place of returning it to the system; whether it applies.

    The system clears every page it hands out, which costs a convolution network on the processor more than half its
    time (docs/performance.md). Works on memory allocated later; other systems are left as they are.

    Args:
        keep_largest: keep also what is above 32 MB. Images of 84×84 have such activations, which leave holes that
            nothing fits: keeping them saves an eighth of the time and costs 100 MB and more.
    """
    if not _has_glibc():
        return False
    trim_threshold, top_pad, mmap_threshold, mmap_max = -1, -2, -3, -4  # names of malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    kept = ((mmap_max, 0), (top_pad, 2**28)) if keep_largest else ((mmap_threshold, 2**25), (top_pad, 2**24))
    settings = (*kept, (trim_threshold, 2**31 - 1))
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)


def forget_peak_memory(hardware: Hardware) -> None:
    """Count a GPU's peak from now on; what a process has held at most on the processor cannot be forgotten."""
    if hardware.device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(hardware.device)


def release_memory() -> None:
    """Give the system back what glibc keeps because of ``tune_allocator``: training is over, scoring needs less."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def peak_memory_bytes(hardware: Hardware) -> int:
    """The most memory this process has held: on the GPU where it computes on one, else resident in the machine's."""
    if hardware.device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(hardware.device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

"""The process's memory: its allocator, its peak, and giving it back."""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import TYPE_CHECKING

from harness.hardware.hardware import Hardware

if TYPE_CHECKING:
    pass


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

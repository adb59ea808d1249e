"""The process's memory: its allocator, its peak, and giving it back."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

from harness.hardware.hardware import Hardware


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


class PeakMemory:
    """The most memory that this process holds from now on: on the GPU where it computes on one, else resident.

    On Linux the processor's peak is set back; where that is not allowed, and on other systems, it is known only if
    it rises above what the process had held before.
    """

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._before = 0  # a peak of no more than this may be of earlier work
        if hardware.device != "cpu":
            import torch

            torch.cuda.reset_peak_memory_stats(hardware.device)
            return
        release_memory()
        if not _reset_peak():
            self._before = _resident_peak()

    def n_bytes(self) -> int | None:
        """The peak; None where it is unknown."""
        if self._hardware.device != "cpu":
            return peak_memory_bytes(self._hardware)
        peak = _resident_peak()
        return peak if peak > self._before else None


def _reset_peak() -> bool:
    """Let Linux count the peak of resident memory anew; whether it does. Source: proc(5), clear_refs, since 4.0."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _resident_peak() -> int:
    """Bytes: since ``_reset_peak`` where there was one, else since the process began."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024  # "VmHWM:     2140 kB"
    except (OSError, ValueError, IndexError):
        return peak_memory_bytes(Hardware("cpu", "32", 1))


def release_memory() -> None:
    """Give the system back what glibc keeps because of ``tune_allocator``: training is over, scoring needs less."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _has_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def peak_memory_bytes(hardware: Hardware) -> int:
    """The most memory this process has ever held: on its GPU where it computes on one, else resident."""
    if hardware.device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(hardware.device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

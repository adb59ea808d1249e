"""Threads that share the processor with other work: they wait asleep while it is busy, and spin while it is not.

The threads of an OpenMP team meet some two hundred times in a training step of conv4, and one that is early spins
until the others are there. With cores to spare that is the fastest way to wait. Where other processes run, the kernel
puts two threads of the team on one core, and the early one spins through its whole time slice (3 to 4 ms) while the
late one waits for that very core, two hundred times a step (docs/performance.md has the measurements).

GNU's libgomp spins 300,000 rounds, but only 100 where its process has more OpenMP threads than there are cores; the
manual says so under GOMP_SPINCOUNT. ``share_processor`` makes use of that: while a thread of this process has to wait
for a core, a second team of threads without work is kept beside the first. The number of threads that compute, and with
it every sum, stays as it is.

Source: https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from pathlib import Path

INTERVAL_SECONDS = 0.25
CROWDED = 0.2  # the share of an interval that a thread waits for a core, from which on the processor is shared
CALM_INTERVALS = 8  # without such a wait, until threads spin again: other work comes and goes

_THREADS = Path("/proc/self/task")


class IdleTeam:
    """A team of OpenMP threads without work, so that all threads of this process wait asleep until it is let go."""

    def __init__(self, libraries: list[str], n_threads: int) -> None:
        self._release = threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(libraries, n_threads), name="idle team", daemon=True)
        self._thread.start()

    def _hold(self, libraries: list[str], n_threads: int) -> None:
        """A team lives as long as the thread that opened it. Each of its threads calls free(NULL), which is nothing."""
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
        for library in libraries:
            ctypes.CDLL(library).GOMP_parallel(nothing, None, ctypes.c_uint(n_threads), ctypes.c_uint(0))
        self._release.wait()

    def let_go(self) -> None:
        self._release.set()
        self._thread.join()


class Crowding:
    """Whether the processor is shared, from how long the threads of this process waited for a core."""

    def __init__(self) -> None:
        self._calm = CALM_INTERVALS  # in a row

    def judge(self, wait: float) -> bool:
        """Whether it is shared now. ``wait``: the longest of any thread, as a share of the interval that has ended."""
        self._calm = 0 if wait > CROWDED else self._calm + 1
        return self._calm < CALM_INTERVALS


class _Watch:
    """Looks after the threads of this process until it ends."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="harness-threads", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Threads do not come along where a process forks."""
        return self._pid == os.getpid()

    def _run(self) -> None:
        crowding, before = Crowding(), waits()
        team: IdleTeam | None = None
        pause = threading.Event()
        while not pause.wait(INTERVAL_SECONDS):
            now = waits()
            crowded = crowding.judge(longest_wait(before, now, INTERVAL_SECONDS))
            before = now
            if crowded and team is None and (libraries := openmp_libraries()):
                # With the team that computes, more than there are cores: that is when libgomp lets all of them sleep.
                team = IdleTeam(libraries, max(2, n_cores() - self.threads + 2))
            elif not crowded and team is not None:
                team.let_go()
                team = None


_watch: _Watch | None = None


def share_processor(threads: int) -> bool:
    """From now on let OpenMP threads of this process wait asleep while other work needs the cores; whether it applies.

    Nothing is done for one thread, which never waits for others, nor where the system does not say how long threads
    wait for a core (Linux does).
    """
    global _watch
    if threads < 2 or not waits():
        return False
    if _watch is None or not _watch.alive:
        _watch = _Watch(threads)
    _watch.threads = threads
    return True


def waits() -> dict[str, int]:
    """Nanoseconds that each thread of this process was ready to run and had no core, by thread; empty where unknown.

    Source: https://docs.kernel.org/scheduler/sched-stats.html, /proc/PID/schedstat
    """
    times = {}
    try:
        for thread in os.listdir(_THREADS):
            times[thread] = int((_THREADS / thread / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):  # one may end meanwhile
        pass
    return times


def longest_wait(before: Mapping[str, int], now: Mapping[str, int], seconds: float) -> float:
    """Of any thread, as a share of ``seconds``; a thread that is new has not waited."""
    return max((now[thread] - before.get(thread, now[thread]) for thread in now), default=0) / (seconds * 1e9)


def openmp_libraries() -> list[str]:
    """Files of the GNU OpenMP libraries that this process has loaded: torch and scikit-learn each bring one."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    files = dict.fromkeys(line.split(maxsplit=5)[-1] for line in lines if "/libgomp" in line)
    return [file for file in files if not file.endswith("(deleted)")]


def n_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

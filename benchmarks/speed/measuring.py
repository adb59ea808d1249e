"""What the speed scripts share: work timed in turns, the machine's peak, conditions, tables."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from harness.hardware.hardware import Hardware


def timed_in_turns(work: Mapping[str, Callable[[], object]], rounds: int, hardware: Hardware) -> dict[str, list[float]]:
    """Seconds of every piece of work in every round, by name. Each runs once unmeasured first.

    In turns, since other work on a machine comes and goes: what slows one of a round slows its neighbours too, so
    ratios within a round hold where absolute times do not.
    """
    clock = clock_of(hardware)
    for run in work.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            synchronise(hardware)
            began = clock()
            work[name]()
            synchronise(hardware)
            seconds[name].append(clock() - began)
    return seconds


def clock_of(hardware: Hardware) -> Callable[[], float]:
    """The wall clock; on one thread of the processor, the seconds it gave to this process, whatever else runs."""
    alone = hardware.device == "cpu" and hardware.threads == 1
    return time.process_time if alone else time.perf_counter


def synchronise(hardware: Hardware) -> None:
    """Wait until the device has done all that it was given."""
    if hardware.device != "cpu":
        torch.cuda.synchronize(hardware.device)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over rounds of ``above / below``."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def matrix_peak(hardware: Hardware, precision: str, side: int | None = None) -> float:
    """FLOP/s of a large square matrix product, the best of ten: what this machine can do now in that precision."""
    side = side or (2048 if hardware.device == "cpu" else 8192)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(side, side, device=hardware.device).to(dtype)
    seconds = timed_in_turns({"product": lambda: matrix @ matrix}, 10, hardware)["product"]
    return 2 * side**3 / min(seconds)


def conditions(hardware: Hardware, **more: object) -> str:
    """One line that says where and how the numbers below it were measured."""
    clock = "of the processor" if clock_of(hardware) is time.process_time else "on the wall"
    known = {**hardware.describe(), "clock": clock, "load when started": f"{os.getloadavg()[0]:.1f}", **more}
    return "Conditions: " + ", ".join(f"{name} {value}" for name, value in known.items()) + "."


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"

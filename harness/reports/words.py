"""Numbers as every format and figure writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.statistics.intervals import Interval

SIGNIFICANT = 0.05  # p-values below it are set in bold


def p_value(p: float | None) -> str:
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(interval: Interval | None, sign: str = "", digits: int = 2) -> str:
    """``72.40 ± 0.90``; ``±∞`` where nothing can be said of the error."""
    if interval is None:
        return "-"
    half_width = f"{100 * interval.half_width:.{digits}f}" if math.isfinite(interval.half_width) else "∞"
    return f"{100 * interval.mean:{sign}.{digits}f} ± {half_width}"

"""Values and names from files as text that is short and safe to print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

LONGEST = 60  # characters of a value in a message

# Control characters but newline and tab, the marks that turn the direction of writing, and halves of characters.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """``text`` with its control characters written out (``\\x1b``): a terminal shows them and obeys none."""
    return text if text.isprintable() else CONTROL.sub(_escaped, text)


def shown(value: Any) -> str:
    """``value`` for a message, on one line and short, however large or deep it is: containers only by their size."""
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= LONGEST else f"{value[:LONGEST]!r}…"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 128 else f"an integer of {value.bit_length():,} bits"
    if isinstance(value, list | tuple | dict | set | frozenset):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"a value of type {type(value).__name__}"


def shortened(name: str, most: int = 200) -> str:
    """A file's name for a message, its middle left out where it is very long."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"


def shown_shape(sizes: Sequence[Any]) -> str:
    """The shape of an array for a message: ``(4, 84, 84, 3)``."""
    return f"({', '.join(map(shown, sizes[:8]))}{',' * (len(sizes) == 1)}{', …' * (len(sizes) > 8)})"


def n_bytes_shown(n: int) -> str:
    """``512 B``, ``1.5 kB``, ``1.5 GB``: decimal units, as disks are sold and ``df -H`` counts."""
    size, unit = float(n), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")

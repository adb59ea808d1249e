"""What a tracker is: something that keeps the curves of a bench where a tool shows them, as TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.episodes import Episodes


@dataclass(frozen=True, eq=False)
class TrackedTable:
    """One dataset of a bench: what its episodes are drawn from, and those of its first kind."""

    dataset: str
    split: Split
    episodes: Episodes


@dataclass(frozen=True, eq=False)
class TrackedBench:
    """A bench that begins."""

    output: Path  # its run folder
    tables: Sequence[TrackedTable] = ()  # none of a search, whose novel classes are not opened


@dataclass(frozen=True)
class TrackerSpec:
    """A tracker that ``--track NAME`` switches on.

    ``start`` returns an object with hooks that notify (``harness_stage_started``, ``harness_epoch_done``,
    ``harness_stage_done``), each marked with ``harness.hookimpl``; ``close()``, if it has one, is called at the end,
    also where a bench was interrupted. Where anything of it raises, one line says so and the bench goes on without it.
    """

    name: str
    title: str
    start: Callable[[TrackedBench], Any]

"""A stage under way, as a line that fits the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from harness.common.text import printable
from harness.evaluation.events import EmbeddingProgress
from harness.training.events import EpochDone, TrainingProgress, TrainingStarted

if TYPE_CHECKING:
    from harness.execution.job import StageJob


def title(job: StageJob) -> str:
    return printable(f"{job.source.dataset} {job.name} seed {job.seed}")


@dataclass
class StageView:
    """What is known of a stage under way. ``hear`` takes its events in."""

    name: str
    said: float  # when a line was last printed of it
    activity: str = "starting"
    details: Sequence[str] = ()  # of the activity, the first the most important
    share: float | None = None  # done of the activity, 0..1
    epochs: int | None = None  # of the phase of training; None: unknown
    training: bool = False  # what is embedded meanwhile are validation images

    def hear(self, event: Any) -> None:
        if isinstance(event, TrainingStarted):
            self.epochs, self.training = event.epochs, True
        elif isinstance(event, TrainingProgress):
            self.epochs, self.training = event.epochs, True
            self.share = event.images / event.total_images if event.total_images else None
            self.activity = f"epoch {event.epoch}/{event.epochs}"
            self.details = (f"{event.images_per_second:,.0f} images/s", f"loss {event.loss:.3f}")
        elif isinstance(event, EpochDone):
            self.training = event.epochs is not None and event.epoch < event.epochs
            self.activity = f"epoch {event.epoch}/{self.epochs}" if self.epochs else f"epoch {event.epoch}"
            speed, loss = event.metrics.get("images_per_second"), event.metrics.get("loss")
            self.details = tuple(
                text
                for value, text in ((speed, f"{speed or 0:,.0f} images/s"), (loss, f"loss {loss or 0:.3f}"))
                if value is not None
            )
        elif isinstance(event, EmbeddingProgress) and not self.training:
            self.share = event.done / event.total if event.total else None
            self.activity = "scoring"
            self.details = (f"{event.done:,} of {event.total:,} views embedded",)

    def line(self, left: str, room: int) -> str:
        """The stage on a line of at most ``room`` columns: what is least important goes first.

        Args:
            left: the time that is left of it, in words; may be empty.
        """
        n = len(self.details)
        for shown, bar in ((n, 16), (min(n, 1), 8), (0, 8), (0, 0)):
            parts = [self.activity, *self.details[:shown], *([left] if left else [])]
            drawn = f"{_bar(self.share, bar)} " if bar and self.share is not None else ""
            line = f"{self.name}  {drawn}{' · '.join(parts)}"
            if cell_len(line) <= room:
                return line
        return shortened(f"{self.name}  {left or self.activity}", room)

    def sentence(self, left: str) -> str:
        """The stage on a line of its own, as long as it is."""
        return ", ".join([f"{self.name}: {self.activity}", *self.details, *([left] if left else [])])


def shortened(line: str, room: int) -> str:
    """``line`` in at most ``room`` columns of a terminal; Chinese letters take two."""
    return line if cell_len(line) <= room else f"{set_cell_size(line, max(0, room - 1))}…"


def _bar(share: float, width: int) -> str:
    full = round(width * min(1.0, max(0.0, share)))
    return "━" * full + "─" * (width - full)

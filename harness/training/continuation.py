"""A longer training goes on from a shorter one where the epochs of the shorter are the first of the longer.

So it is where both differ in their length alone and its learning rates do not depend on that: constant ones, or decays
at epochs that are named. What a finished training keeps for this is its last whole epoch that any longer one shares,
``continuation.pt``; where there is none, as under a cosine, it keeps nothing.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import RunsError
from harness.contract.recipe import Position
from harness.training.checkpoints import read_checkpoint

if TYPE_CHECKING:
    from harness.contract.recipe import Schedule

NAME = "continuation.pt"


@dataclass(frozen=True)
class Shorter:
    """A finished stage that differs from the one that is trained now in its length alone."""

    folder: Path
    images_seen: int
    obstacle: str = ""  # why its bytes would be others all the same: "it ran with threads 2, this one with 1"

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class Span:
    """How long a training is, and what its learning rates do."""

    schedule: Schedule
    n_steps: int
    epoch_steps: int

    @property
    def shared_epochs(self) -> int:
        """Its first whole epochs whose learning rates are those of a training of any greater length, too."""
        n_shared = 0
        for step in range(self.n_steps):
            if self._rate(step, self.n_steps) != self._rate(step, 2 * self.n_steps):
                break
            n_shared += 1
        return n_shared // self.epoch_steps

    def rates(self, epochs: int) -> str:
        """sha256 of what the learning rates of its first epochs are multiplied by."""
        steps = range(epochs * self.epoch_steps)
        return hashlib.sha256(array("d", (self._rate(step, self.n_steps) for step in steps)).tobytes()).hexdigest()

    def _rate(self, step: int, n_steps: int) -> float:
        return float(self.schedule(Position(step, n_steps, self.epoch_steps)))

    def kept(self, epochs: int) -> dict[str, Any]:
        """What a continuation says of the training that it is of."""
        return {"n_steps": self.n_steps, "epoch_steps": self.epoch_steps, "rates": self.rates(epochs)}


@dataclass(frozen=True)
class Choice:
    """Which shorter training this one goes on from; without ``state`` it begins from nothing, for ``reason``."""

    source: str  # name of the shorter stage's folder
    state: Mapping[str, Any] | None = None  # of its continuation
    reason: str = ""


def choose(shorter: Iterable[Shorter], span: Span, step_images: int) -> Choice | None:
    """The shorter training that saves the most epochs, or why none can be gone on from; None: there is none."""
    candidates = [one for one in shorter if one.images_seen < span.n_steps * step_images]
    tried = [_try(one, span) for one in sorted(candidates, key=lambda one: one.images_seen, reverse=True)]
    usable = {choice.state["epoch"]: choice for choice in reversed(tried) if choice.state is not None}
    return usable[max(usable)] if usable else next(iter(tried), None)


def _try(one: Shorter, span: Span) -> Choice:
    if one.obstacle:
        return Choice(one.name, reason=one.obstacle)
    path = one.folder / NAME
    if not path.exists():
        if span.shared_epochs == 0:
            kind = getattr(span.schedule, "__name__", type(span.schedule).__name__)
            return Choice(one.name, reason=f"its learning rates ({kind}) depend on how long it is, from the beginning")
        return Choice(one.name, reason="that one kept no checkpoint (pruned, imported, or of an earlier version)")
    try:
        state = read_checkpoint(path)
    except RunsError as error:
        return Choice(one.name, reason=str(error))
    epochs = state["epoch"]
    if state["epoch_steps"] != span.epoch_steps or epochs * span.epoch_steps > span.n_steps:
        return Choice(one.name, reason="its epochs have other steps")
    if state["rates"] != span.rates(epochs):
        return Choice(one.name, reason=f"the learning rates of its first {epochs} epochs are others")
    return Choice(one.name, state)

"""What trains a stage: recipes run by the one loop, or a loop of the method's own; costs, checkpoints, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from harness.common.errors import HarnessError, PluginError
from harness.training.checkpoints import check_state
from harness.training.events import EpochDone, TrainingProgress, TrainingStarted
from harness.training.finite import refuse_infinite
from harness.training.loop import PROGRESS_EVERY, Training
from harness.training.session import Session

if TYPE_CHECKING:
    from harness.contract.recipe import Recipe
    from harness.contract.training import Batch, Loss


@dataclass
class Trainer(Session):
    """Trains one stage's networks, by recipes or by a loop of the method's own."""

    _phase: int = 0  # how often ``run`` or ``resume`` was called
    _clock: float | None = None  # when time was last counted in a loop of the method's own
    _reported: float = 0.0
    _begun: bool = False  # whether such a loop has said that it trains
    _kept: tuple[int, float] = (0, 0.0)  # images and seconds at the last checkpoint of such a loop

    def frozen(self, network: nn.Module) -> Callable[..., Any]:
        """``network`` as a teacher: in eval mode, on the training device, without gradients, in the same precision."""
        teacher = network.to(self.hardware.device).to(memory_format=torch.channels_last).eval().requires_grad_(False)

        def call(*inputs: torch.Tensor) -> Any:
            with torch.no_grad(), self.hardware.autocast():
                return _as_float(teacher(*inputs))

        return call

    def run(self, network: nn.Module, loss: Loss | Mapping[str, Loss], recipe: Recipe) -> None:
        """Train ``network`` in place, from its last checkpoint if there is one.

        Args:
            network: what is trained, or several in a ModuleDict or ModuleList. ``loss`` is handed it wrapped, for
                precision and several processes, and must call it as a whole, not only parts of it.
            loss: (network, batch) → scalars by name, of which ``loss`` is minimised. Losses by name take turns within a
                step, each with the optimiser of that name.
            recipe: length, optimiser, schedule, batches, views, selection.
        Raises:
            HarnessError: the loss is not finite, or there are no validation classes to select on.
        """
        self.check(recipe, loss)
        self._phase += 1
        Training(self, network, loss, recipe, self._phase).run()

    # ── for a loop of one's own ──────────────────────────────────────────────────────────────────

    def resume(self) -> Any:
        """Begin a loop of one's own. Returns what its last ``checkpoint`` was given; None where there is none."""
        if self.devices > 1:
            raise HarnessError("this stage trains by a loop of its own, in one process: use --devices 1")
        self._phase += 1
        saved = self.load(self._phase)
        self._begun = False
        self._kept = self.images_seen, self.seconds
        self._clock = time.perf_counter()
        return saved["state"] if saved is not None else None

    def batches(self, recipe: Recipe, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, as ``run`` would train on them."""
        stream = self.stream(recipe, self._phase)
        return stream.batches(epoch, stream.steps(epoch))

    def account(self, images: int = 0, flops: int = 0, seconds: float = 0.0) -> None:
        """Add to what the row says it cost. Time from ``resume`` to each ``checkpoint`` is counted by itself."""
        if min(images, flops, seconds) < 0:
            raise PluginError(f"account(images={images}, flops={flops}, seconds={seconds}): a cost is not negative")
        self.done.images_seen += int(images)
        self.done.flops += int(flops)
        self.done.seconds += float(seconds)

    def progress(self, done: int, total: int, loss: float | torch.Tensor) -> None:
        """Say that ``done`` of ``total`` epochs or steps are over; may be called often."""
        now = time.perf_counter()
        if self._clock is None or now - self._reported < PROGRESS_EVERY:
            return
        self._tell_begun()
        self._reported = now
        seen = self.images_seen
        speed = seen / max(self.seconds + now - self._clock, 1e-9)
        self.report(TrainingProgress(done, total, seen, round(seen * total / max(done, 1)), speed, _number(loss)))

    def checkpoint(self, state: Any, metrics: Mapping[str, float | torch.Tensor] | None = None) -> None:
        """Keep ``state``, whole or not at all; ``metrics`` are a line of metrics.csv.

        Args:
            state: tensors, numbers, strings, and dicts, lists and tuples of them, as state dicts are.
        Raises:
            PluginError: ``resume`` was not called before, or ``state`` holds something else.
            HarnessError: a metric is not finite.
        """
        if self._clock is None:
            raise PluginError("trainer.checkpoint: call trainer.resume() first, which says where the loop was")
        check_state(state)
        self._tell_begun()
        now = time.perf_counter()
        self.account(seconds=now - self._clock)
        self._clock = now
        measured = {name: _number(value) for name, value in (metrics or {}).items()}
        epoch = 1 + sum(row["phase"] == self._phase for row in self.history)
        refuse_infinite(measured, epoch)
        self.history.append({"phase": self._phase, "epoch": epoch, **measured})
        self.save(self._phase, {"state": state})
        self.report(
            EpochDone(
                epoch,
                self._with_speed(measured),
                self._phase,
                len(self.history),
                self.images_seen,
                self.seconds,
            )
        )
        self._kept = self.images_seen, self.seconds

    def _tell_begun(self) -> None:
        """Say once that the loop trains, which not every loop does that resumes."""
        if not self._begun:
            self._begun = True
            done = sum(row["phase"] == self._phase for row in self.history)
            self.report(TrainingStarted(self._phase, None, None, done))

    def _with_speed(self, metrics: dict[str, float]) -> dict[str, float]:
        """``metrics``, and where images were counted since the last checkpoint, how many in a second."""
        images, seconds = self.images_seen - self._kept[0], self.seconds - self._kept[1]
        return {"images_per_second": images / seconds, **metrics} if images and seconds > 0 else metrics


def _number(value: float | torch.Tensor) -> float:
    return float(value.item() if isinstance(value, torch.Tensor) else value)


def _as_float(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {name: _as_float(entry) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        floats = map(_as_float, value)
        return type(value)(*floats) if hasattr(value, "_fields") else type(value)(floats)
    return value

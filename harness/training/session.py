"""What all loops of a stage's training share: where it computes, its batches, its checkpoints, what it has done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.common.errors import HarnessError, PluginError
from harness.contract.recipe import Recipe, Selection
from harness.training.batches import BatchStream
from harness.training.checkpoints import read_checkpoint, write_checkpoint
from harness.training.continuation import NAME
from harness.training.feed import ImageFeed
from harness.training.state import Progress

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec, Split
    from harness.hardware.hardware import Hardware
    from harness.training.continuation import Shorter
    from harness.training.events import Continued, EpochDone, TrainingProgress, TrainingStarted


@dataclass
class Session:
    """A stage's training. What it has done is added up in ``done``, whoever wrote the loop."""

    split: Split
    dataset: DatasetSpec
    hardware: Hardware
    seed: int
    folder: Path | None = None  # for checkpoints; None keeps none
    report: Callable[[TrainingStarted | Continued | TrainingProgress | EpochDone], None] = lambda event: None
    validate: Callable[[Any, Selection], float] | None = None  # a network's mean accuracy or loss on validation
    devices: int = 1
    shorter: Callable[[], Sequence[Shorter]] = tuple  # finished trainings that differ in their length alone
    done: Progress = field(default_factory=Progress)

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""
        return torch.device(self.hardware.device)

    @property
    def images_seen(self) -> int:
        return self.done.images_seen

    @property
    def seconds(self) -> float:
        return self.done.seconds

    @property
    def flops(self) -> int:
        return self.done.flops

    @property
    def history(self) -> list[dict[str, float]]:
        return self.done.history

    def validation(self, network: Any, selection: Selection) -> float:
        """What ``selection`` measures on validation episodes. HarnessError where there are no validation classes."""
        if self.validate is None:
            raise HarnessError(
                f"selection = best-val, but {self.dataset.name} has no validation classes to select on: take 'last'"
            )
        return self.validate(network, selection)

    def check(self, recipe: Recipe, loss: Any) -> None:
        """Raises PluginError or HarnessError where a recipe cannot be run here."""
        if not isinstance(recipe, Recipe):
            raise PluginError(
                f"trainer.run was handed a {type(recipe).__name__}, not a harness.Recipe: options make one, "
                "context.options.recipe()"
            )
        if recipe.selection is not None and self.validate is None:
            self.validation(None, recipe.selection)  # says what is missing
        if self.devices > 1 and isinstance(loss, Mapping):
            raise HarnessError("losses that take turns are trained in one process: use --devices 1")
        batches = recipe.batches
        if self.devices > 1 and (not batches.divisible or batches.size % self.devices):
            raise HarnessError(
                f"batches of {batches.size} images cannot be divided over {self.devices} processes: use --devices 1"
                + (" or a batch_size that is a multiple" if batches.divisible else "")
            )

    def stream(self, recipe: Recipe, phase: int, rank: int = 0, world_size: int = 1) -> BatchStream:
        """The batches of a phase."""
        return BatchStream(
            self.split, self.dataset, recipe, self._feed, self.device, self.seed, phase, rank, world_size
        )

    def load(self, phase: int) -> Any:
        """A phase's last checkpoint, with what was done until then taken up; None where there is none."""
        path = self._checkpoint(phase)
        if path is None or not path.exists():
            return None
        saved = read_checkpoint(path)
        self.done.restore(saved["done"])
        return saved

    def save(self, phase: int, state: Mapping[str, Any]) -> None:
        """Keep ``state`` and what was done until now."""
        path = self._checkpoint(phase)
        if path is not None:
            write_checkpoint(path, {**state, "done": self.done.state()})

    def keep_for_longer(self, state: Mapping[str, Any]) -> None:
        """Keep ``state`` and what was done until now beyond the training, for a longer one to go on from."""
        if self.folder is not None:
            write_checkpoint(self.folder / NAME, {**state, "done": self.done.state()})

    def forget_for_longer(self) -> None:
        """Drop what ``keep_for_longer`` kept."""
        if self.folder is not None:
            (self.folder / NAME).unlink(missing_ok=True)

    def _checkpoint(self, phase: int) -> Path | None:
        return self.folder / f"checkpoint-{phase}.pt" if self.folder else None

    @cached_property
    def _feed(self) -> ImageFeed:
        return ImageFeed(self.split, self.device)

"""The one training loop, for every method: precision, schedule, progress, a checkpoint an epoch, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.common.errors import HarnessError, PluginError
from harness.common.randomness import numpy_generator, seeded, torch_generator
from harness.contract.training import Batch, Batches, Loss
from harness.hardware.hardware import Hardware
from harness.images.augment import Augmenter
from harness.training.batches import ImageFeed, ShuffledBatches
from harness.training.checkpoints import read_checkpoint, write_checkpoint
from harness.training.distributed import normalise_over_all_processes
from harness.training.events import EpochDone, TrainingProgress
from harness.training.recipe import Length, make_optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from harness.contract.data import DatasetSpec, Split
    from harness.contract.options import TrainingOptions


PROGRESS_EVERY = 0.3  # seconds


@dataclass
class Trainer:
    """Trains one stage's network. What it has done is added up in the public fields."""

    split: Split
    dataset: DatasetSpec
    hardware: Hardware
    seed: int
    folder: Path | None = None  # for checkpoints; None keeps none
    report: Callable[[TrainingProgress | EpochDone], None] = lambda event: None
    validate: Callable[[Any], float] | None = None  # a network's mean accuracy on validation episodes
    devices: int = 1
    images_seen: int = 0
    seconds: float = 0.0
    flops: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    _phase: int = 0  # how often ``run`` was called
    _counted: int = 0  # the phase whose FLOPs are in ``flops``

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""
        return torch.device(self.hardware.device)

    def frozen(self, network: nn.Module) -> Callable[..., Any]:
        """``network`` as a teacher: in eval mode, on the training device, without gradients, in the same precision."""
        teacher = network.to(self.hardware.device).to(memory_format=torch.channels_last).eval().requires_grad_(False)

        def call(*inputs: torch.Tensor) -> Any:
            with torch.no_grad(), self.hardware.autocast():
                return _as_float(teacher(*inputs))

        return call

    def run(
        self,
        network: nn.Module,
        loss: Loss,
        options: TrainingOptions,
        *,
        batches: Batches | None = None,
        copies: int = 1,
    ) -> None:
        """Train ``network`` in place, from its last checkpoint if there is one.

        Args:
            network: what is trained; ``loss`` must call the object it is handed, which wraps it.
            loss: (network, batch) → scalars by name, of which ``loss`` is minimised.
            options: length, optimiser and schedule.
            batches: what a step sees; ``options.batch_size`` shuffled images by default.
            copies: how often the network sees each image of a batch (4 with four rotations), for counting.
        Raises:
            HarnessError: the loss is not finite at the end of an epoch, or there are no validation classes to select
                on.
        """
        validate = self.validate if options.selection == "best-val" else None
        if options.selection == "best-val" and validate is None:
            raise HarnessError(
                f"selection = best-val, but {self.dataset.name} has no validation classes to select on: take 'last'"
            )
        self._phase += 1
        batches = batches or ShuffledBatches(options.batch_size)
        if self.devices > 1 and (not batches.divisible or batches.size % self.devices):
            raise HarnessError(
                f"batches of {batches.size} images cannot be divided over {self.devices} processes: use --devices 1"
                + (" or a batch_size that is a multiple" if batches.divisible else "")
            )
        length = Length.of(options, len(self._order(batches, 0)), batches.size * copies)
        fabric = self.hardware.fabric(self.devices)
        fabric.launch()
        torch.set_num_threads(self.hardware.threads)  # Fabric sets its own number
        network.to(fabric.device).to(memory_format=torch.channels_last)
        optimiser = make_optimiser(network, options)
        best = _Best()
        start = self._load_checkpoint(network, optimiser, best)
        if start < length.epochs:
            if fabric.world_size > 1:
                network = normalise_over_all_processes(network, fabric.device)
            wrapped, wrapped_optimiser = fabric.setup(network, optimiser)
            feed = ImageFeed(self.split, fabric.device)
            run = _Run(fabric, wrapped, wrapped_optimiser, loss, options, length, batches.size, copies, feed)
            for epoch in range(start, length.epochs):
                network.train()
                metrics = self._epoch(
                    run, self._order(batches, epoch)[: length.steps - epoch * length.epoch_steps], epoch
                )
                if validate is not None:
                    metrics["val_accuracy"] = validate(network.eval())
                    best.offer(metrics["val_accuracy"], network)
                self.history.append({"phase": self._phase, "epoch": epoch + 1, **metrics})
                if fabric.is_global_zero:
                    self._save_checkpoint(network, optimiser, epoch + 1, best)
                fabric.barrier()
                self.report(EpochDone(epoch + 1, metrics))
        if best.weights is not None:
            network.load_state_dict(best.weights)
        network.eval()
        if fabric.world_size > 1:
            torch.distributed.destroy_process_group()

    def _epoch(self, run: _Run, steps: np.ndarray, epoch: int) -> dict[str, float]:
        """Train on the batches of ``steps`` (n, B). Returns the mean losses; no step waits for the device."""
        fabric, length = run.fabric, run.length
        augment = Augmenter(self.dataset.augmentation, self.dataset.mean, self.dataset.std)
        share = run.batch_size // fabric.world_size
        own = slice(fabric.global_rank * share, (fabric.global_rank + 1) * share)
        draws = torch_generator(fabric.device, self.seed, "augment", self._phase, epoch)
        places = torch.arange(steps.size, device=fabric.device).view(steps.shape)[:, own].flatten()
        parameters = augment.draw(steps.size, draws)[places]
        totals: dict[str, torch.Tensor] = {}
        began = reported = time.perf_counter()
        with seeded(self.seed, "epoch", self._phase, epoch, fabric.global_rank):
            for i, (images, labels) in enumerate(augment.stream(run.feed(steps[:, own]), parameters)):
                decay = length.decay(run.options, epoch * length.epoch_steps + i)
                for group in run.optimiser.param_groups:
                    group["lr"] = run.options.learning_rate * decay
                losses = self._step(run, Batch(images, labels))
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0) + value
                now = time.perf_counter()
                if now - reported > PROGRESS_EVERY:
                    reported = now
                    seen = (i + 1) * run.step_images
                    self.report(
                        TrainingProgress(
                            epoch + 1,
                            length.epochs,
                            self.images_seen + seen,
                            length.images,
                            seen / (now - began),
                            losses["loss"].item(),
                        )
                    )
        means = fabric.all_reduce({name: value / len(steps) for name, value in totals.items()})
        metrics = {name: float(value) for name, value in cast(dict[str, torch.Tensor], means).items()}
        elapsed = time.perf_counter() - began
        if not all(map(math.isfinite, metrics.values())):
            shown = ", ".join(f"{name} {value:g}" for name, value in metrics.items())
            raise HarnessError(f"the loss is not finite after epoch {epoch + 1} ({shown}): try a lower learning rate")
        self.images_seen += len(steps) * run.step_images
        self.seconds += elapsed
        return {**metrics, "images_per_second": len(steps) * run.step_images / elapsed}

    def _step(self, run: _Run, batch: Batch) -> dict[str, torch.Tensor]:
        """One optimiser step. Returns the losses, detached. The first step of a training also counts its FLOPs."""
        counter = FlopCounterMode(display=False) if self._counted < self._phase else None
        with counter or nullcontext():
            run.optimiser.zero_grad(set_to_none=True)
            losses = run.loss(run.network, batch)
            if not isinstance(losses, Mapping):
                raise PluginError(f"the loss function returned a {type(losses).__name__}: return {{'loss': …}}")
            if "loss" not in losses:
                raise PluginError(f"the losses {', '.join(losses) or '(none)'} have none named 'loss' to minimise")
            run.fabric.backward(losses["loss"])
        run.optimiser.step()
        if counter is not None:
            self._counted = self._phase
            self.flops += counter.get_total_flops() * run.fabric.world_size * run.length.steps
        return {name: value.detach().float() for name, value in losses.items()}

    def _order(self, batches: Batches, epoch: int) -> np.ndarray:
        """Indices (steps, B) of an epoch's batches."""
        return batches.epoch(self.split, numpy_generator(self.seed, "order", self._phase, epoch))

    @property
    def _checkpoint(self) -> Path | None:
        return self.folder / f"checkpoint-{self._phase}.pt" if self.folder else None

    def _load_checkpoint(self, network: nn.Module, optimiser: torch.optim.Optimizer, best: _Best) -> int:
        """Take up this phase's last checkpoint. Returns how many epochs are done; 0 where there is none."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return 0
        saved = read_checkpoint(self._checkpoint)
        network.load_state_dict(saved["network"])
        optimiser.load_state_dict(saved["optimiser"])
        best.accuracy, best.weights = saved["best"]
        self.images_seen, self.seconds, self.flops, self._counted, self.history = saved["done"]
        return saved["epoch"]

    def _save_checkpoint(self, network: nn.Module, optimiser: torch.optim.Optimizer, epoch: int, best: _Best) -> None:
        if self._checkpoint is None:
            return
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "epoch": epoch,
            "best": (best.accuracy, best.weights),
            "done": (self.images_seen, self.seconds, self.flops, self._counted, self.history),
        }
        write_checkpoint(self._checkpoint, state)


@dataclass(frozen=True)
class _Run:
    """What stays the same during one call of ``Trainer.run``."""

    fabric: Fabric
    network: Any  # wrapped by Fabric
    optimiser: Any  # wrapped by Fabric
    loss: Loss
    options: TrainingOptions
    length: Length
    batch_size: int
    copies: int
    feed: ImageFeed

    @property
    def step_images(self) -> int:
        return self.batch_size * self.copies


@dataclass
class _Best:
    """The weights that did best on validation episodes so far."""

    accuracy: float = -math.inf
    weights: dict[str, torch.Tensor] | None = None

    def offer(self, accuracy: float, network: nn.Module) -> None:
        if accuracy > self.accuracy:
            self.accuracy = accuracy
            self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}


def _as_float(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {name: _as_float(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        floats = map(_as_float, value)
        return type(value)(*floats) if hasattr(value, "_fields") else type(value)(floats)
    return value

"""The one training loop, for every method that has a recipe: precision, schedule, selection, resume."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.common.errors import HarnessError
from harness.common.randomness import seeded
from harness.training.continuation import Span, choose
from harness.training.distributed import normalise_over_all_processes, refuse_parts_alone
from harness.training.events import Continued, EpochDone, TrainingProgress, TrainingStarted
from harness.training.finite import refuse_infinite_steps
from harness.training.state import Best
from harness.training.steps import (
    Optimisers,
    Turn,
    backward,
    learning_rates,
    make_optimisers,
    make_schedulers,
    make_turns,
    named,
    take_step,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from harness.contract.batches import Step
    from harness.contract.recipe import Recipe
    from harness.contract.training import Batch, Loss
    from harness.training.session import Session


PROGRESS_EVERY = 0.3  # seconds


@dataclass
class Training:
    """One call of ``Trainer.run``."""

    session: Session
    network: nn.Module
    loss: Loss | Mapping[str, Loss]
    recipe: Recipe
    phase: int
    _images_before: int = 0  # seen in earlier phases
    _flops: int | None = None  # of this phase, as far as they are counted

    def run(self) -> None:
        """Train from the last checkpoint to the end, or to where validation no longer improves."""
        fabric = self._launch()
        network = self.network.to(fabric.device).to(memory_format=torch.channels_last)
        optimisers = make_optimisers(network, self.recipe, self.loss)
        best = Best()
        first = self._take_up(optimisers, best)
        if first < self.n_epochs and not self._is_over(best):
            step_images = self.recipe.step_images
            self._images_before = self.session.images_seen - first * self.epoch_steps * step_images
            self.session.report(TrainingStarted(self.phase, self.n_epochs, self.n_steps * step_images, first))
            wrapped, turns = self._prepare(fabric, optimisers, first)
            for epoch in range(first, self.n_epochs):
                network.train()
                metrics = self._train_epoch(fabric, wrapped, turns, epoch)
                if self.recipe.selection is not None:
                    measure = self.recipe.selection.measure
                    value = fabric.broadcast(self.session.validation(network.eval(), self.recipe.selection))
                    metrics[f"val_{measure}"] = value
                    best.offer(-value if measure == "loss" else value, network)
                self._keep(fabric, optimisers, best, epoch + 1, metrics)
                if self._is_over(best):
                    break
        if best.weights is not None:
            network.load_state_dict(best.weights)
        network.eval()
        if fabric.world_size > 1:
            torch.distributed.destroy_process_group()

    # ── how long it is ───────────────────────────────────────────────────────────────────────────

    @cached_property
    def epoch_steps(self) -> int:
        n_steps = len(self.session.stream(self.recipe, self.phase).steps(0))
        if n_steps == 0:
            raise HarnessError("the recipe's batches make an epoch without a step")
        return n_steps

    @cached_property
    def n_steps(self) -> int:
        return self.recipe.length.in_steps(self.epoch_steps, self.recipe.step_images)

    @property
    def n_epochs(self) -> int:
        return -(-self.n_steps // self.epoch_steps)

    def _is_over(self, best: Best) -> bool:
        return self.recipe.selection is not None and best.has_waited(self.recipe.selection.patience)

    # ── before the first step ────────────────────────────────────────────────────────────────────

    def _launch(self) -> Fabric:
        hardware = self.session.hardware
        fabric = hardware.fabric(self.session.devices)
        fabric.launch()
        torch.set_num_threads(hardware.threads)  # Fabric sets its own number
        return fabric

    def _take_up(self, optimisers: Optimisers, best: Best) -> int:
        """Go on from this phase's last checkpoint. Returns how many epochs are done; 0 where there is none."""
        saved = self.session.load(self.phase) or self._of_a_shorter()
        if saved is None:
            return 0
        self.network.load_state_dict(saved["network"])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(saved["optimisers"][name])
        best.value, best.epochs_since, best.weights = saved["best"]
        self._flops = saved.get("flops")
        return saved["epoch"]

    def _of_a_shorter(self) -> Any:
        """What a finished shorter training kept whose epochs are the first of this one; None where there is none."""
        if not self._shares_epochs:
            return None
        choice = choose(self.session.shorter(), self._span, self.recipe.step_images)
        if choice is None:
            return None
        self.session.report(Continued(choice.source, choice.state["epoch"] if choice.state else 0, choice.reason))
        if choice.state is None:
            return None
        state, done = dict(choice.state), self.session.done
        done.restore(state["done"])
        longer = state["flops"] // state["n_steps"] * self.n_steps
        done.flops += longer - state["flops"]
        return {**state, "flops": longer}

    @property
    def _shares_epochs(self) -> bool:
        """Whether a longer training may go on from this one: the first phase of one in a single process."""
        return self.phase == 1 and self.session.devices == 1

    @cached_property
    def _span(self) -> Span:
        return Span(self.recipe.schedule, self.n_steps, self.epoch_steps)

    @cached_property
    def _shared_epochs(self) -> int:
        return self._span.shared_epochs if self._shares_epochs else 0

    def _prepare(self, fabric: Fabric, optimisers: Optimisers, first: int) -> tuple[Any, list[Turn]]:
        """The network as Fabric wraps it for device and precision, and the turns of a step."""
        network = self.network
        if fabric.world_size > 1:
            network = normalise_over_all_processes(network, fabric.device)
        made = list(optimisers.values())
        schedulers = make_schedulers(made, self.recipe, self.n_steps, self.epoch_steps, first * self.epoch_steps)
        if isinstance(network, nn.ModuleDict):
            wrapped: Any = nn.ModuleDict({name: fabric.setup_module(part) for name, part in network.items()})
        elif isinstance(network, nn.ModuleList):
            wrapped = nn.ModuleList(map(fabric.setup_module, network))
        else:
            wrapped = fabric.setup_module(network)
        set_up = fabric.setup_optimizers(*made)
        return wrapped, make_turns(self.loss, list(set_up) if len(made) > 1 else [set_up], schedulers)

    # ── an epoch ─────────────────────────────────────────────────────────────────────────────────

    def _train_epoch(self, fabric: Fabric, network: Any, turns: list[Turn], epoch: int) -> dict[str, float]:
        """The mean losses of an epoch's steps, and how fast they went; no step waits for the device."""
        stream = self.session.stream(self.recipe, self.phase, fabric.global_rank, fabric.world_size)
        steps = stream.steps(epoch)[: self.n_steps - epoch * self.epoch_steps]
        n_images = sum(len(step.index) for step in steps) * self.recipe.views * self.recipe.copies
        totals: dict[str, torch.Tensor] = {}
        recent: list[dict[str, torch.Tensor]] = []  # losses that nobody has looked at
        clock = _Clock()
        rates = learning_rates(turns)
        with seeded(self.session.seed, "epoch", self.phase, epoch, fabric.global_rank):
            for i, batch in enumerate(stream.batches(epoch, steps)):
                with refuse_parts_alone(network) if fabric.world_size > 1 and i == 0 else nullcontext():
                    losses = self._step(fabric, network, turns, batch)
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0) + value
                recent.append(losses)
                if clock.should_report():
                    refuse_infinite_steps(totals, recent, i + 1, epoch + 1)
                    recent.clear()
                    self._report(epoch, steps[: i + 1], clock, losses["loss"])
            refuse_infinite_steps(totals, recent, len(steps), epoch + 1)
        means = fabric.all_reduce({name: value / len(steps) for name, value in totals.items()})
        metrics = {name: float(value) for name, value in cast("dict[str, torch.Tensor]", means).items()}
        seconds = clock.seconds()
        self.session.done.images_seen += n_images
        self.session.done.seconds += seconds
        return {**metrics, "images_per_second": n_images / seconds, **rates}

    def _step(self, fabric: Fabric, network: Any, turns: list[Turn], batch: Batch) -> dict[str, torch.Tensor]:
        """One step of each optimiser. Returns the losses, detached. A phase's first step also counts its FLOPs."""
        done = self.session.done
        counted = done.counted_phase >= self.phase
        step_losses: dict[str, torch.Tensor] = {}
        for turn in turns:
            counter = None if counted else FlopCounterMode(display=False)
            with counter or nullcontext():
                losses = backward(fabric, network, turns, turn, batch)
            take_step(turn, self.recipe.clip)
            step_losses.update(named(turn, losses))
            if counter is not None:
                self._flops = (self._flops or 0) + counter.get_total_flops() * fabric.world_size * self.n_steps
        if not counted:
            done.flops += self._flops or 0
        done.counted_phase = self.phase
        if "loss" not in step_losses:  # losses that took turns
            step_losses["loss"] = torch.stack([step_losses[f"{turn.name}_loss"] for turn in turns]).sum()
        return step_losses

    def _report(self, epoch: int, steps: Sequence[Step], clock: _Clock, loss: torch.Tensor) -> None:
        seen = sum(len(step.index) for step in steps) * self.recipe.views * self.recipe.copies
        self.session.report(
            TrainingProgress(
                epoch + 1,
                self.n_epochs,
                self.session.images_seen + seen,
                self._images_before + self.n_steps * self.recipe.step_images,
                seen / clock.seconds(),
                loss.item(),
            )
        )

    def _keep(self, fabric: Fabric, optimisers: Optimisers, best: Best, epochs: int, metrics: dict[str, float]) -> None:
        """Write the checkpoint of ``epochs`` done epochs, then tell."""
        self.session.history.append({"phase": self.phase, "epoch": epochs, **metrics})
        if fabric.is_global_zero:
            state = {
                "network": self.network.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
                "epoch": epochs,
                "best": (best.value, best.epochs_since, best.weights),
                "flops": self._flops,
            }
            ends = epochs == self._shared_epochs or (epochs < self._shared_epochs and self._is_over(best))
            if ends and self._flops is not None:
                self.session.keep_for_longer({**state, **self._span.kept(epochs)})
            self.session.save(self.phase, state)
        fabric.barrier()
        session = self.session
        session.report(
            EpochDone(
                epochs,
                metrics,
                self.phase,
                len(session.history),
                session.images_seen,
                session.seconds,
                self.n_epochs,
            )
        )


class _Clock:
    """Seconds of an epoch, and when it is time to report again."""

    def __init__(self) -> None:
        self._began = self._reported = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def should_report(self) -> bool:
        now = time.perf_counter()
        if now - self._reported <= PROGRESS_EVERY:
            return False
        self._reported = now
        return True

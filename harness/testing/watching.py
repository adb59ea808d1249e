"""A method under watch: what its stages read and touch while they build and train."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from harness.contract.data import DataRequest, Dataset, DatasetSpec
    from harness.contract.methods import MethodSpec, Stage


@dataclass
class Watch:
    """Notes what goes wrong while stages build and train. ``method`` and ``dataset`` are the watched ones."""

    method: MethodSpec
    data: Dataset
    outputs: Callable[[Any], torch.Tensor]  # of a learner, on the images of a check
    opened: list[str] = field(default_factory=list)  # problems: a stage opened the dataset
    touched: list[str] = field(default_factory=list)  # … global state was not as before
    uncounted: list[str] = field(default_factory=list)  # … networks saw more images than were counted
    idle: list[str] = field(default_factory=list)  # … training changed nothing, or made something not finite
    unmoved: list[str] = field(default_factory=list)  # stage: parameters that may train and did not
    learned: dict[str, torch.Tensor] = field(default_factory=dict)  # stage → outputs right after its last training
    _inside: str | None = None  # the stage that is building or training now

    @property
    def watched(self) -> MethodSpec:
        return replace(self.method, stages=self._stages)

    @property
    def dataset(self) -> DatasetSpec:
        return replace(self.data.spec, open=self._open)

    def _open(self, request: DataRequest) -> Dataset:
        if self._inside is not None:
            self.opened.append(f"{self._inside} opens the dataset while it trains, and so could see the test split")
        return replace(self.data, spec=self.dataset)

    def _stages(self, options: Any) -> list[Stage]:
        stages = []
        for stage in self.method.stages(options):
            fit = partial(self._fit, stage) if stage.fit is not None else None
            stages.append(replace(stage, build=partial(self._build, stage), fit=fit))
        return stages

    def _build(self, stage: Stage, context: Any) -> Any:
        with self._watch_global_state(stage, torch_generator=False):  # the harness has seeded it for this
            return stage.build(context)

    def _fit(self, stage: Stage, context: Any, learner: Any) -> None:
        assert stage.fit is not None
        before = {name: value.clone() for name, value in learner.state_dict().items()}
        with self._watch_global_state(stage), images_seen(learner) as seen:
            stage.fit(context, learner)
        self._compare(stage, context.trainer.images_seen, sum(seen))
        after = learner.state_dict()
        if all(torch.equal(before[name].cpu(), after[name].cpu()) for name in before.keys() & after.keys()):
            self.idle.append(f"{stage.name}.fit changes no weight of its learner; it trains that in place")
        for name, value in after.items():
            if not bool(value.isfinite().all()):
                self.idle.append(f"{stage.name}: {name} is NaN or infinite")
        still = [name for name in _trainable(learner) if torch.equal(before[name].cpu(), after[name].cpu())]
        if still:
            self.unmoved.append(f"{stage.name}: {_shortened(still)}")
        self.learned[stage.name] = self.outputs(learner)

    def _compare(self, stage: Stage, counted: int, seen: int) -> None:
        if not counted:
            self.uncounted.append(
                f"{stage.name} trains and counts no image: context.trainer.account(images=…) says what a loop of its "
                "own costs"
            )
        elif seen > counted:
            self.uncounted.append(
                f"{stage.name}: the network saw {seen:,} images in training, {counted:,} are counted: give the recipe "
                "views or copies, as in options.recipe(copies=2)"
            )

    @contextmanager
    def _watch_global_state(self, stage: Stage, torch_generator: bool = True) -> Iterator[None]:
        before = global_state()
        self._inside = stage.name
        try:
            yield
        finally:
            self._inside = None
        after = global_state()
        for name, value in before.items():
            if after[name] != value and (torch_generator or name != "torch's generator"):
                self.touched.append(
                    f"{stage.name} changes {name}: draw from harness.numpy_generator or harness.torch_generator, or "
                    "inside harness.seeded, and undo what you set"
                )


@contextmanager
def images_seen(learner: Any) -> Iterator[list[int]]:
    """A list to which each training forward of ``learner`` adds its number of images."""
    seen: list[int] = []

    def note(network: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        images = [value for value in inputs if isinstance(value, torch.Tensor) and value.ndim == 4]
        if images and network.training and torch.is_grad_enabled():
            seen.append(len(images[0]))

    if not isinstance(learner, torch.nn.Module):
        yield seen
        return
    handle = learner.register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def _trainable(learner: Any) -> list[str]:
    """The names of a learner's parameters that may train."""
    if not isinstance(learner, torch.nn.Module):
        return []
    return [name for name, weight in learner.named_parameters() if weight.requires_grad]


def _shortened(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def global_state() -> Mapping[str, Any]:
    """What of this process a plugin must leave as it is."""
    return {
        "torch's generator": torch.random.get_rng_state().numpy().tobytes(),
        "numpy's global generator": repr(np.random.get_state()),  # noqa: NPY002
        "python's global generator": random.getstate(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's matmul precision": torch.get_float32_matmul_precision(),
        "cuDNN's settings": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
    }


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def near(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-3) -> bool:
    """Whether two outputs differ by no more than other kernels make them, as a share of the largest."""
    if first.shape != second.shape:
        return False
    scale = float(first.abs().amax()) if first.numel() else 0.0
    return float((first - second).abs().amax()) <= tolerance * max(scale, 1e-6) if first.numel() else True


def read_weights(folders: Sequence[Any]) -> list[Mapping[str, torch.Tensor]]:
    """The weights of stages, by tensor name."""
    from safetensors.torch import load_file

    return [load_file(folder / "weights.safetensors") for folder in folders]

"""What a plugin sees of the trainer: batches, losses, and the trainer itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

    from harness.contract.recipe import Recipe, Selection


@dataclass(frozen=True, eq=False)
class TrainingEpisodes:
    """The episodes of a batch. Labels count 0..n_way-1 within each episode."""

    n_way: int
    k_shot: int
    n_query: int
    support: torch.Tensor  # (E, n_way·k_shot) int64: places in the batch, class by class
    query: torch.Tensor  # (E, n_way·n_query) int64: places in the batch, class by class
    support_labels: torch.Tensor  # (E, n_way·k_shot) int64
    query_labels: torch.Tensor  # (E, n_way·n_query) int64

    def __len__(self) -> int:
        return len(self.support)

    def split(self, values: torch.Tensor, k_shot: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Supports (E, n_way·k_shot, …) and queries (E, n_way·n_query, …) of what the batch has a row each, (B, …).

        Args:
            values: images, features or logits of the whole batch.
            k_shot: fewer supports: the first of each class, so that shots are nested.
        """
        by_class = values.unflatten(0, (len(self), self.n_way, -1))
        support, query = by_class[:, :, : k_shot or self.k_shot], by_class[:, :, self.k_shot :]
        return support.flatten(1, 2), query.flatten(1, 2)


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step trains on: images augmented and normalised, on the training device.

    With several views all images come in their first view, then all in their second: image i in view v lies at
    ``v·B + i``, as rotations do in ``rotations4``, so that one forward sees them all and ``logits.chunk(views)`` parts
    them again. ``labels`` are of the images: ``labels.repeat(views)`` of all views.
    """

    images: torch.Tensor  # (views·B, C, H, W) float32, channels last in memory
    labels: torch.Tensor  # (B,) int64, base classes 0..n_classes-1
    views: int = 1
    episodes: TrainingEpisodes | None = None  # of the whole batch, also where it is divided over processes

    def view(self, number: int) -> torch.Tensor:
        """The images (B, C, H, W) in view ``number``, from 0."""
        return self.images.chunk(self.views)[number]


Loss = Callable[[Any, Batch], Mapping[str, "torch.Tensor"]]


class Trainer(Protocol):
    """What trains a stage's network. A method meets it as ``context.trainer``."""

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""

    def frozen(self, network: nn.Module) -> Callable[..., Any]:
        """``network`` as a teacher: in eval mode, on the training device, without gradients, in the same precision."""

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

    # ── for a loop of one's own ──────────────────────────────────────────────────────────────────

    def resume(self) -> Any:
        """Begin a loop of one's own. Returns what its last ``checkpoint`` was given; None where there is none."""

    def batches(self, recipe: Recipe, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, as ``run`` would train on them."""

    def account(self, images: int = 0, flops: int = 0, seconds: float = 0.0) -> None:
        """Add to what the row says it cost. Time from ``resume`` to each ``checkpoint`` is counted by itself."""

    def progress(self, done: int, total: int, loss: float | torch.Tensor) -> None:
        """Say that ``done`` of ``total`` epochs or steps are over; may be called often."""

    def checkpoint(self, state: Any, metrics: Mapping[str, float | torch.Tensor] | None = None) -> None:
        """Keep ``state``, whole or not at all; ``metrics`` are a line of metrics.csv.

        Args:
            state: tensors, numbers, strings, and dicts, lists and tuples of them, as state dicts are.
        """

    def validation(self, network: Any, selection: Selection) -> float:
        """What ``selection`` measures on validation episodes under the method's head: mean accuracy, 0..1, or loss.

        Raises:
            HarnessError: there are no validation classes.
        """

"""What a stage trains, and how it is scored: by features or by predicting an episode itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

    from harness.contract.data import Split


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """Some episodes, as an ``EpisodicLearner`` sees them. Queries come in a seeded, shuffled order."""

    support: torch.Tensor  # (E, S, H, W, C) uint8
    support_labels: torch.Tensor  # (E, S) int64, 0..n_way-1
    query: torch.Tensor  # (E, Q, H, W, C) uint8
    n_way: int
    generators: Sequence[torch.Generator] = ()  # (E,), on the device: an episode's own, whatever chunk it comes in
    class_names: Sequence[Sequence[str]] = ()  # (E, n_way), as the dataset names them


class Learner(Protocol):
    """What a stage trains. A ``torch.nn.Module`` is one. Its weights must hold all that it has learned."""

    def state_dict(self) -> Mapping[str, torch.Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor], /) -> Any: ...


@runtime_checkable
class Embedder(Protocol):
    """A learner whose features are classified by a head: each image is embedded once, however many episodes.

    One that classifies the base classes may also have ``logits(images)``, (N, n_classes), for heads that take these.
    """

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of images (N, H, W, C) uint8, each independent of the others in the batch."""


@runtime_checkable
class StoredEmbedder(Embedder, Protocol):
    """An embedder of features that were made elsewhere, which looks images up. Its MethodSpec says ``stored=True``."""

    def match(self, split: Split) -> None:
        """Called with the split that is scored, before any of its images is embedded.

        Raises:
            HarnessError: the features are not of its images, or not of all of them.
        """


@runtime_checkable
class EpisodicLearner(Protocol):
    """A learner that adapts to an episode and classifies its queries itself. It may use gradients for it."""

    def predict(self, batch: EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way), higher for likelier."""

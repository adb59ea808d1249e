"""Every noun of the harness, in the order in which data flows through it.

    Split ─► Dataset ─► Episodes ─► Stage.build, Stage.fit ─► Learner ─► Head ─► StageResult

Specs (``DatasetSpec``, ``BackboneSpec``, ``ClassifierSpec``, ``MethodSpec``, ``ReporterSpec``) are what a plugin
offers. A spec is cheap: making one imports no torch; heavy imports live in the callables that it carries.
Arrays are described by shape: N images, H × W pixels, C channels, D features, E episodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from harness.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from harness.options import MethodOptions
    from harness.training import Trainer

SplitName = Literal["train", "val", "test"]
Target = Literal["closed", "open"]


# ── datasets ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Split:
    """The images of some classes."""

    name: SplitName
    images: np.ndarray  # (N, H, W, C) uint8, usually memory-mapped; anything with its shape and indexing serves
    labels: np.ndarray  # (N,) int64, 0..n_classes-1
    class_names: tuple[str, ...]
    fingerprint: str  # sha256 over images, labels and class names, whatever file form they came from

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augmentation:
    """The random changes that leave an image's class as it is, and their size."""

    crop_padding: int = 0  # pixels of zero padding before a random crop of the image's own size; 0: no crop
    jitter: float = 0.0  # brightness, contrast and saturation are each scaled by 1 ± up to this
    flip: bool = False  # mirrored left-right half of the time
    rotation_keeps_class: bool = True  # False where a rotated image is another class: no rotation self-supervision


@dataclass(frozen=True)
class DataRequest:
    """Where to look for a dataset, as the command line gave it."""

    root: Path  # the folder with prepared datasets, one sub-folder each
    argument: str | None = None  # what stood behind the colon: ``folder:PATH``
    image_size: int | None = None  # only for datasets whose images have no size of their own


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset that the harness can open."""

    name: str
    title: str  # one line: what the images are, how many classes
    image_size: int  # pixels, height and width
    open: Callable[[DataRequest], Dataset]
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # per channel, of pixels scaled to 0..1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    augmentation: Augmentation = Augmentation()
    counts: Mapping[SplitName, tuple[int, int]] = field(default_factory=dict)  # split → (classes, images)
    licence: str = ""
    citation: str = ""
    obtain: str = ""  # where people get it
    takes_argument: bool = False  # used as ``name:argument``
    prepare: Callable[..., Path] | None = None  # see harness/datasets/prepare.py; None: nothing to prepare


@dataclass(frozen=True, eq=False)
class Dataset:
    """Base classes to train on and novel classes to test on. Refuses splits that share a class."""

    spec: DatasetSpec
    train: Split | None
    val: Split | None
    test: Split | None
    notes: tuple[str, ...] = ()  # what every table must say of it: "partial data (61 of 351 base classes)"

    def __post_init__(self) -> None:
        splits = self.splits
        for i, first in enumerate(splits):
            for second in splits[i + 1 :]:
                shared = sorted(set(first.class_names) & set(second.class_names))
                if shared:
                    raise DataError(
                        f"{self.spec.name}: the splits {first.name!r} and {second.name!r} share "
                        f"{len(shared)} class(es), {shared[0]!r} first; a class may be in one split only"
                    )

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(split for split in (self.train, self.val, self.test) if split is not None)

    @property
    def fingerprint(self) -> str:
        """sha256 over the fingerprints of the splits."""
        text = "".join(f"{split.name}:{split.fingerprint};" for split in self.splits)
        return hashlib.sha256(text.encode()).hexdigest()


# ── episodes ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, order=True)
class EpisodeSpec:
    """The shape of an episode."""

    n_way: int = 5
    k_shot: int = 1
    n_query: int = 15  # queries a class; their mean number where they are unbalanced
    dirichlet: float = 0.0  # concentration of the class proportions among the queries; 0: balanced

    def __str__(self) -> str:
        unbalanced = f", Dirichlet({self.dirichlet:g}) queries" if self.dirichlet else ""
        return f"{self.n_way}-way {self.k_shot}-shot{unbalanced}"


@dataclass(frozen=True, eq=False)
class Episodes:
    """Many episodes of one shape, as indices into a split. Class w of an episode is its label w."""

    spec: EpisodeSpec
    classes: np.ndarray  # (E, n_way) int64
    support: np.ndarray  # (E, n_way, k_shot) int64
    query: np.ndarray  # (E, n_way, n_query) int64
    target: Target  # how they were drawn, hence what an interval over them is about: harness/episodes.py
    fingerprint: str  # sha256 over the spec, the arrays and the split's fingerprint
    query_counts: np.ndarray | None = None  # (E, n_way) int64, queries of each class; None: n_query of each

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def query_labels(self) -> np.ndarray:
        """(E, n_way * n_query) int64: the label of each query, where ``query`` is read row by row.

        Unbalanced queries fill the same rows class after class, so only this says whose they are.
        """
        import numpy as np

        labels = np.arange(self.spec.n_way)
        if self.query_counts is None:
            return np.tile(np.repeat(labels, self.spec.n_query), (len(self), 1))
        return np.repeat(np.tile(labels, len(self)), self.query_counts.reshape(-1)).reshape(len(self), -1)


# ── backbones ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class BackboneRequest:
    """What a backbone is built for."""

    image_size: int
    channels: int = 3
    argument: str | None = None  # what stood behind the colon: ``timm:resnet18``


@dataclass(frozen=True)
class BackboneSpec:
    """A network from normalised images (N, C, H, W) to features (N, D).

    ``build`` returns a ``torch.nn.Module`` with an attribute ``n_features`` (D). It may use torch's global random
    generator: the harness seeds it first.
    """

    name: str
    title: str
    build: Callable[[BackboneRequest], torch.nn.Module]
    takes_argument: bool = False


# ── heads: how features become scores ─────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Head:
    """How a learner's features are classified in an episode. Printed in the table beside each row."""

    classifier: str = "logistic"
    transform: str = "none"  # applied to features first, ``+`` between several: "l2", "centre+l2"
    views: int = 1  # copies of each support image: the image itself, then views - 1 random crops and flips

    def __str__(self) -> str:
        parts = [self.classifier, *([self.transform] if self.transform != "none" else [])]
        return ", ".join([*parts, f"{self.views} views"] if self.views > 1 else parts)


class BatchedClassifier(Protocol):
    """A pure function that classifies the queries of many episodes at once.

    Returns scores (E, Q, n_way), higher for likelier. Takes ``support`` (E, S, D) and ``query`` (E, Q, D) features,
    ``support_labels`` (E, S) in 0..n_way-1.
    """

    def __call__(
        self, support: torch.Tensor, support_labels: torch.Tensor, query: torch.Tensor, n_way: int
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class ClassifierSpec:
    """A classifier that a head can name."""

    name: str
    title: str
    load: Callable[[], BatchedClassifier]
    transductive: bool = False  # looks at the query set as a whole
    version: int = 1  # raised by its author when its code changes accuracies


# ── methods ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """Some episodes, as an ``EpisodicLearner`` sees them. Queries come in a seeded, shuffled order."""

    support: torch.Tensor  # (E, S, H, W, C) uint8
    support_labels: torch.Tensor  # (E, S) int64, 0..n_way-1
    query: torch.Tensor  # (E, Q, H, W, C) uint8
    n_way: int


class Learner(Protocol):
    """What a stage trains. A ``torch.nn.Module`` is one. Its weights must hold all that it has learned."""

    def state_dict(self) -> Mapping[str, torch.Tensor]: ...

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor], /) -> Any: ...


@runtime_checkable
class Embedder(Protocol):
    """A learner whose features are classified by a head: each image is embedded once, however many episodes."""

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of images (N, H, W, C) uint8, each independent of the others in the batch."""


@runtime_checkable
class EpisodicLearner(Protocol):
    """A learner that adapts to an episode and classifies its queries itself."""

    def predict(self, batch: EpisodeBatch) -> torch.Tensor:
        """Scores (E, Q, n_way), higher for likelier."""


@dataclass(frozen=True)
class BuildContext:
    """What a stage may know when it builds its learner."""

    dataset: DatasetSpec  # of the training data
    n_classes: int  # base classes
    options: Any  # the method's own MethodOptions
    backbone: Callable[[], torch.nn.Module]  # a new one, initialised from this stage's own seed


@dataclass(frozen=True)
class FitContext(BuildContext):
    """What a stage may know when it trains. Never the test split."""

    train: Split
    val: Split | None
    parent: Any  # None, or the trained learner of the parent stage, frozen and in eval mode
    seed: int  # for harness.randomness: numpy_generator(context.seed, "my purpose")
    trainer: Trainer


@dataclass(frozen=True)
class Stage:
    """One trained result of a method, with a row of its own.

    ``build(context)`` returns an untrained learner; ``fit(context, learner)`` trains it in place. They are apart so
    that a finished stage is opened from its weights without training.
    """

    name: str
    build: Callable[[BuildContext], Learner]
    fit: Callable[[FitContext, Any], None] | None = None  # None: nothing to train
    parent: str | None = None
    reads: tuple[str, ...] = ()  # the options that decide this stage's weights; what is not named shares a result
    version: int = 1  # raised by its author when the code changes results


@dataclass(frozen=True)
class Preset:
    """Named values for a method's options."""

    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    per_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    backbone: str = "conv4"


@dataclass(frozen=True)
class MethodSpec:
    """A few-shot-learning method."""

    name: str
    title: str
    paper: str  # "arXiv:2006.09785", or empty
    options: type[MethodOptions]
    stages: Callable[[Any], Sequence[Stage]]  # options → stages, each after its parent
    presets: Mapping[str, Preset] = field(default_factory=dict)
    head: Head | None = Head()  # how its authors score it; None: its learners are episodic and classify themselves
    transductive: bool = False
    floor: bool = False  # a baseline without training, for what chance and raw pixels give
    uses_backbone: bool = True


# ── results ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Score:
    """A learner's accuracies on one kind of episode."""

    episodes: EpisodeSpec
    target: Target
    episodes_fingerprint: str
    accuracies: np.ndarray  # (E,) float64, fractions 0..1
    classes: np.ndarray  # (E, n_way) int64: which of the split's classes an episode has
    n_classes: int  # of the split


@dataclass(frozen=True, eq=False)
class StageResult:
    """What one stage with one seed reached, and at what cost."""

    key: str
    scores: tuple[Score, ...]
    images_seen: int  # images the network was trained on, augmented and rotated copies counted, parents not
    fit_seconds: float
    embed_seconds: float
    peak_memory_bytes: int
    flops: int = 0  # of forward and backward passes, the teacher's included
    conditions: Mapping[str, str] = field(default_factory=dict)  # device, precision, threads, versions


@dataclass(frozen=True)
class StageFailure:
    """A stage that could not be trained or scored: a row of its own, not a crash."""

    key: str
    error: str  # one line
    details: str = ""  # the traceback


# ── reports ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ReporterSpec:
    """A way of writing a report down. ``render`` takes a harness.reports.Report and returns text."""

    name: str
    title: str
    render: Callable[[Any], str]
    suffixes: Iterable[str] = ()  # file endings that choose it: ".md"

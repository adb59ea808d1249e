"""What data is: splits of images, a dataset, and the spec that offers one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.common.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.citations import Cited


SplitName = Literal["train", "val", "test"]
Strength = Literal["none", "standard", "strong"]  # of what changes training images at random


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
    crop_scale: float = 1.0  # smallest share of the area of a random crop that is enlarged to the image's size; 1: none
    grey: float = 0.0  # probability that an image loses its colour, after the jitter

    def at(self, strength: Strength) -> Augmentation:
        """As it is, without any change, or stronger.

        ``strong`` is close to what contrastive learning uses (Chen et al. 2020, arXiv:2002.05709, appendix A, without
        blur and change of hue): enlarged crops of a third of the area and more in place of shifted ones, twice the
        jitter up to 0.8, and a fifth of the images grey where colours are jittered. Flips stay as they are: where the
        dataset has none, a mirrored image may be another class.
        """
        if strength == "none":
            return Augmentation(rotation_keeps_class=self.rotation_keeps_class)
        if strength == "strong":
            jitter, grey = min(0.8, 2 * self.jitter), 0.2 if self.jitter else 0.0
            return replace(self, crop_padding=0, crop_scale=0.35, jitter=jitter, grey=grey)
        return self


@dataclass(frozen=True)
class DataRequest:
    """Where to look for a dataset, as the command line gave it."""

    root: Path  # the folder with prepared datasets, one sub-folder each
    argument: str | None = None  # what stood behind the colon: ``folder:PATH``
    image_size: int | None = None  # only for datasets whose images have no size of their own
    split: str | None = None  # only for folder:PATH: base/validation/novel shares of its classes, "60/20/20"
    split_seed: int = 0  # which classes these are
    skip_damaged: bool = False  # only for folder:PATH: leave out images that cannot be read


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
    citation: Cited = ()  # how it is cited: harness cite
    obtain: str = ""  # where people get it
    takes_argument: bool = False  # used as ``name:argument``
    prepare: Callable[..., Path] | None = None  # see harness/datasets/preparing/prepare.py; None: nothing to prepare


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
    def partial(self) -> bool:
        """Whether a split has fewer classes or images than were published."""
        published = self.spec.counts
        return any(
            split.n_classes < published[split.name][0] or len(split) < published[split.name][1]
            for split in self.splits
            if split.name in published
        )

    @property
    def fingerprint(self) -> str:
        """sha256 over the fingerprints of the splits."""
        text = "".join(f"{split.name}:{split.fingerprint};" for split in self.splits)
        return hashlib.sha256(text.encode()).hexdigest()

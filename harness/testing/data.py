"""A dataset for checks: small enough for seconds, large enough for training episodes of 20 classes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, SplitName

if TYPE_CHECKING:
    from harness.contract.data import Split

NAME = "contract"
SIZE = 16  # pixels, the least that conv4 takes
COUNTS: dict[SplitName, tuple[int, int]] = {"train": (20, 20), "val": (6, 20), "test": (6, 20)}  # classes, images each


def tiny_dataset() -> Dataset:
    """Gratings of 16×16 pixels: a class is an angle, a wavelength, a colour; its images differ in phase and noise."""
    return TINY.open(DataRequest(root=None))  # type: ignore[arg-type]


def _open(request: DataRequest) -> Dataset:
    train, val, test = (_split(name, number) for number, name in enumerate(COUNTS))
    return Dataset(TINY, train, val, test)


def _split(name: SplitName, number: int) -> Split:
    import numpy as np

    from harness.contract.data import Split

    n_classes, n_images = COUNTS[name]
    rng = np.random.default_rng([17, number])
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    images = np.empty((n_classes, n_images, SIZE, SIZE, 3), np.uint8)
    for label in range(n_classes):
        angle, waves, colour = rng.uniform(0, np.pi), rng.uniform(1, 4), rng.uniform(0.2, 1, 3)
        phase = rng.uniform(0, 2 * np.pi, (n_images, 1, 1))
        grating = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase)  # (n, H, W)
        noise = rng.normal(0, 12, (n_images, SIZE, SIZE, 3))
        images[label] = np.clip(128 + 90 * grating[..., None] * colour + noise, 0, 255)
    pixels = images.reshape(-1, SIZE, SIZE, 3)
    labels = np.repeat(np.arange(n_classes), n_images)
    names = tuple(f"{name} {label}" for label in range(n_classes))
    return Split(name, pixels, labels, names, hashlib.sha256(pixels.tobytes()).hexdigest())


TINY = DatasetSpec(
    NAME,
    "gratings of 16x16 pixels, for checks",
    SIZE,
    _open,
    augmentation=Augmentation(crop_padding=2, jitter=0.2, flip=True),
    counts={name: (classes, classes * images) for name, (classes, images) in COUNTS.items()},
)

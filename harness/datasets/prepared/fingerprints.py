"""Fingerprints of images that do not depend on the files they came from.

An image's digest is the sha256 of its pixels; a class's digest covers the sorted digests of its images; a split's
fingerprint covers the image shape and, class by class in the split's order, name, number of images and digest. So
equal fingerprints mean equal images, labels and class names, and a differing class can be named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

DIGEST = 32  # bytes of a sha256


def image_digests(images: np.ndarray) -> np.ndarray:
    """(N, 32) uint8: the sha256 of each of ``images`` (N, H, W, C) uint8."""
    rows = np.ascontiguousarray(images).reshape(len(images), int(np.prod(images.shape[1:])))
    joined = b"".join(hashlib.sha256(row).digest() for row in rows)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(images), DIGEST)


def canonical_order(labels: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """(N,) int64: the images by class, then by digest. Takes labels (N,) and digests (N, 32)."""
    words = np.ascontiguousarray(digests).view(">u8")  # (N, 4): big-endian words compare as the bytes do
    return np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0], labels))


def class_digest(digests: np.ndarray) -> str:
    """The digest of a class, from the sorted digests (n, 32) of its images."""
    return hashlib.sha256(np.ascontiguousarray(digests).tobytes()).hexdigest()


def split_fingerprint(image_shape: tuple[int, ...], classes: Sequence[tuple[str, int, str]]) -> str:
    """sha256 of a split, from its image shape (H, W, C) and each class's name, number of images and digest."""
    lines = ["x".join(map(str, image_shape)), *(f"{count} {digest} {name}" for name, count, digest in classes)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

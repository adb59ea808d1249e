"""Kept features as arrays, for who wants no torch: where they are, and those of images as they are."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.contract.data import Split


def file_name(split: Split, what: str = "") -> str:
    """The file of a split's features, another for any other images: scored elsewhere, a stage keeps what it has."""
    return f"{what}{split.name}-{hashlib.sha256(split.fingerprint.encode()).hexdigest()[:12]}.safetensors"


def raw_features(path: Path, n_images: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Indices (M,) of images in a split of ``n_images``, ascending, and their features (M, D).

    None where there is no such file, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            checksum = (file.metadata() or {}).get("checksum")
            features, pairs = file.get_tensor("features"), file.get_tensor("pairs")
    except (OSError, SafetensorError):
        return None
    if features.ndim != 2 or pairs.shape != (len(features), 2) or checksum != array_checksum(features, pairs):
        return None
    raw = (pairs[:, 1] == 0) & (pairs[:, 0] >= 0) & (pairs[:, 0] < n_images)  # view 0 is the image itself
    return pairs[raw, 0], features[raw]


def array_checksum(*arrays: np.ndarray) -> str:
    """Against damage, not malice: CRC-32 reads gigabytes a second."""
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(array.reshape(-1).view(np.uint8).data, checksum)
    return str(checksum)

"""Features on disk, beside the stage that they came from: another head or more episodes embed only what is new."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from harness.common.files import write_kept
from harness.evaluation.embed import Embedding, ViewSource
from harness.evaluation.kept import array_checksum

EMBEDDING_VERSION = 1  # raised when the code that makes views or embeds them changes features


def identity(
    learner: Any, source: ViewSource, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> str:
    """sha256 of all that decides a feature: weights, data, augmentation, view seed, kind of device, number format."""
    kind = torch.device(source.device).type
    with autocast():
        number = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    digest = hashlib.sha256(
        f"{type(learner).__qualname__};{source.split.fingerprint};{kind};{number};{EMBEDDING_VERSION};".encode()
    )
    digest.update(f"{source.augmentation.crop_padding};{source.augmentation.flip};{source.seed};".encode())
    for name, tensor in sorted(learner.state_dict().items()):
        digest.update(f"{name};{tensor.dtype};{tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load_or_compute(
    path: Path | None, key: Callable[[], str], pairs: np.ndarray, compute: Callable[[np.ndarray], torch.Tensor]
) -> Embedding:
    """The embedding of at least ``pairs`` (M, 2), from the file where it has them. What was missing is added to it.

    A file that is damaged or of other weights, data or views is replaced.
    """
    if path is None:
        return Embedding(compute(pairs), pairs)
    name = key()
    known = _load(path, name)
    missing = pairs if known is None else pairs[~_contains(known.pairs, pairs)]
    if known is not None and not len(missing):
        return known
    merged = Embedding(compute(missing), missing)
    if known is not None:
        together = np.concatenate([known.pairs, missing])
        order = np.lexsort((together[:, 1], together[:, 0]))
        features = torch.cat([known.features.to(merged.features.device), merged.features])
        merged = Embedding(features[torch.from_numpy(order).to(features.device)], together[order])
    _save(path, merged, name)
    return merged


def _contains(known: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(M,) bool: which of ``pairs`` (M, 2) are among ``known``."""
    views = 1 + max(int(known[:, 1].max(initial=0)), int(pairs[:, 1].max(initial=0)))
    return np.isin(pairs @ [views, 1], known @ [views, 1])


def _load(path: Path, key: str) -> Embedding | None:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != key:
                return None
            features, pairs = file.get_tensor("features"), file.get_tensor("pairs")
            if metadata.get("checksum") != array_checksum(features.numpy(), pairs.numpy()):
                return None
            return Embedding(features, pairs.numpy())
    except (OSError, SafetensorError):
        return None


def _save(path: Path, merged: Embedding, key: str) -> None:
    tensors = {"features": merged.features.cpu().contiguous(), "pairs": torch.from_numpy(merged.pairs).contiguous()}
    metadata = {"identity": key, "checksum": array_checksum(*(tensor.numpy() for tensor in tensors.values()))}
    write_kept(path, save(tensors, metadata))

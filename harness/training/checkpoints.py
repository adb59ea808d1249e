"""A training's state on disk: its sha256, then what torch saves."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.common.errors import RunsError
from harness.common.files import atomic_write

DIGEST_BYTES = 32


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    digest = hashlib.sha256(content.getbuffer()).digest()
    atomic_write(path, lambda file: (file.write(digest), file.write(content.getbuffer())))


def read_checkpoint(path: Path) -> Any:
    """What ``write_checkpoint`` was given, tensors on the processor. Raises RunsError where the file is damaged."""
    content = path.read_bytes()
    digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise RunsError(f"{path} is damaged: its sha256 is not the one in it. Delete it to train from the beginning")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

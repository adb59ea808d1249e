"""A training's state on disk: its sha256, then what torch saves."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.common.errors import PluginError, RunsError
from harness.common.files import write_kept

DIGEST_BYTES = 32


def check_state(state: Any, place: str = "state") -> None:
    """Raises PluginError where ``state`` holds what a checkpoint cannot give back."""
    if isinstance(state, Mapping):
        for name, value in state.items():
            check_state(value, f"{place}[{name!r}]")
    elif isinstance(state, (list, tuple)):
        for number, value in enumerate(state):
            check_state(value, f"{place}[{number}]")
    elif not (state is None or isinstance(state, (torch.Tensor, bool, int, float, str, bytes))):
        raise PluginError(
            f"{place} is a {type(state).__name__}, which cannot be kept: hand over tensors, numbers, strings, and "
            "dicts, lists and tuples of them, as state_dict() gives them"
        )


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    digest = hashlib.sha256(content.getbuffer()).digest()
    write_kept(path, digest, content.getbuffer())


def read_checkpoint(path: Path) -> Any:
    """What ``write_checkpoint`` was given, tensors on the processor. Raises RunsError where the file is damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunsError(f"{path} cannot be read: {error.strerror}") from None
    digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise RunsError(f"{path} is damaged: its sha256 is not the one in it. Delete it to train from the beginning")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

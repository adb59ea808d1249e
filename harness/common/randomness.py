"""Where randomness comes from: generators derived from (seed, purpose, index), never global state."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and on every word of ``purpose``, the same on every machine."""
    words = "\x1f".join([str(int(seed)), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose. Its n-th draw of a fixed kind does not depend on how many follow."""
    import numpy as np

    return np.random.default_rng(derive(seed, *purpose))


def torch_generator(device: torch.device | str, seed: int, *purpose: str | int) -> torch.Generator:
    """A torch generator on ``device`` for one purpose."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextlib.contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Inside, torch's global generators start from (seed, purpose); afterwards they are as they were.

    For code that takes no generator: module initialisation and dropout.
    """
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *purpose))
        yield

"""What an evaluation has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmbeddingProgress:
    """How many images and views of the test split are embedded."""

    done: int
    total: int

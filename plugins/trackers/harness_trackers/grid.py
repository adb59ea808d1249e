"""One episode as an image: a row a class, its support images, a gap, and some of its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import harness

MOST_SHOTS = 10  # support images of a class that are shown
MOST_QUERIES = 8
LEAST_PIXELS = 48  # of an image's side; smaller ones are enlarged
MARGIN = 2  # pixels around an image
GAP = 16  # pixels between support and queries


def episode_grid(table: harness.TrackedTable, number: int = 0) -> np.ndarray:
    """Support, left, and queries, right, of an episode, as (H, W, 3) uint8, a row a class."""
    episodes = table.episodes
    spec = episodes.spec
    way, shot = (spec.n_way, spec.k_shot) if episodes.shapes is None else map(int, episodes.shapes[number])
    support = episodes.support[number, :way, : min(shot, MOST_SHOTS)]  # (way, columns)
    query = episodes.query[number, :way, :MOST_QUERIES]
    rows = [
        np.concatenate([_strip(table.split, left), _gap(table.split), _strip(table.split, right)], axis=1)
        for left, right in zip(support, query, strict=True)
    ]
    return np.concatenate(rows)


def _strip(split: harness.Split, index: np.ndarray) -> np.ndarray:
    """Images beside each other; -1 is none."""
    blank = np.full_like(np.asarray(split.images[0]), 255)
    return np.concatenate([_framed(split.images[i] if i >= 0 else blank) for i in index.tolist()], axis=1)


def _framed(image: np.ndarray) -> np.ndarray:
    """An image (H, W, C) in colour, enlarged where it is small, with a white margin."""
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.asarray(image)[:, :, :3]
    factor = -(-LEAST_PIXELS // image.shape[0])
    large = colour.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.pad(large, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)


def _gap(split: harness.Split) -> np.ndarray:
    height = _framed(split.images[0]).shape[0]
    return np.full((height, GAP, 3), 255, np.uint8)

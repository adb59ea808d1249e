"""A learner that has learned nothing: it looks its features up by the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness import HarnessError, image_digests

if TYPE_CHECKING:
    from harness import Split
    from harness_features.files import Embeddings

BLOCK = 4096  # images that are hashed at once


class StoredFeatures:
    """Features of images that a file knows: by the sha256 of their pixels, or of a split by their places in it."""

    def __init__(self, file: Embeddings) -> None:
        self._file = file
        self._row_of: dict[bytes, int] = {}  # digest → row of the file
        if file.hashes is not None:
            self._row_of = {digest.tobytes(): row for row, digest in enumerate(file.hashes)}

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Nothing: the embeddings stay in their file, whose sha256 is an option."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor], /) -> Any:
        """Nothing to load."""

    def match(self, split: Split) -> None:
        """Learn which row of the file is of which image of ``split``, as far as the file does not say by hashes.

        Raises:
            HarnessError: rows, labels or classes of the file are not those of the split, or images are missing.
        """
        digests = np.concatenate(
            [image_digests(split.images[start : start + BLOCK]) for start in range(0, len(split), BLOCK)]
        )
        rows = self._rows_by_hash(split, digests) if self._file.hashes is not None else self._rows_by_place(split)
        if self._file.labels is not None:
            self._check_labels(split, rows)
        self._row_of.update((digest.tobytes(), int(row)) for digest, row in zip(digests, rows, strict=True))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) float32 of images (N, H, W, C) uint8.

        Raises:
            HarnessError: the file does not know an image.
        """
        rows = [self._row_of.get(digest.tobytes(), -1) for digest in image_digests(images.cpu().numpy())]
        if unknown := rows.count(-1):
            raise HarnessError(
                f"{self._file.path} has no embedding of {unknown} of {len(rows)} images. It knows images as they are: "
                "changed copies of them need --views 1, and images of other splits rows with their 'hashes'"
            )
        return torch.from_numpy(self._file.values[rows]).to(images.device)

    def _rows_by_hash(self, split: Split, digests: np.ndarray) -> np.ndarray:
        rows = np.array([self._row_of.get(digest.tobytes(), -1) for digest in digests])
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise HarnessError(
                f"{self._file.path}: its 'hashes' are of {len(split) - len(missing):,} of the {len(split):,} images of "
                f"the {split.name} split; that in row {missing[0]} is the first without"
            )
        return rows

    def _rows_by_place(self, split: Split) -> np.ndarray:
        """(n,) int64: the row of the file that is of each image of the split."""
        file = self._file
        chosen = np.arange(len(file)) if file.split is None else np.flatnonzero(file.split == split.name)
        if file.rows is None and file.labels is None:
            raise HarnessError(f"{file.path} does not say of which images it is: add 'labels', 'rows' or 'hashes'")
        if len(chosen) != len(split):
            raise HarnessError(
                f"{file.path} has {len(chosen):,} embeddings of the {split.name} split, which has {len(split):,} images"
            )
        if file.rows is None:
            return chosen
        places = file.rows[chosen]
        wrong = np.setdiff1d(np.arange(len(split)), places)
        if len(wrong):
            raise HarnessError(
                f"{file.path}: 'rows' are not each number from 0 to {len(split) - 1:,} once: {wrong[0]} is missing"
            )
        return chosen[np.argsort(places)]

    def _check_labels(self, split: Split, rows: np.ndarray) -> None:
        """Names must be those of the split's classes; numbers, one for each of its classes."""
        assert self._file.labels is not None
        labels = self._file.labels[rows]
        if labels.dtype.kind == "U":
            expected = np.array(split.class_names)[split.labels]
        else:
            first = np.array([np.flatnonzero(split.labels == label)[0] for label in range(split.n_classes)])
            expected = labels[first][split.labels]
            n_numbers = len(np.unique(labels[first]))
            if n_numbers < split.n_classes:
                raise HarnessError(
                    f"{self._file.path}: 'labels' have {n_numbers} numbers for the {split.n_classes} classes of the "
                    f"{split.name} split"
                )
        wrong = np.flatnonzero(labels != expected)
        if len(wrong):
            image = wrong[0]
            raise HarnessError(
                f"{self._file.path}: {len(wrong):,} 'labels' are not those of the {split.name} split, first that of "
                f"image {image}: {labels[image]!s}, there {split.class_names[split.labels[image]]!r}"
                + ("" if labels.dtype.kind == "U" else f" like {expected[image]}")
            )

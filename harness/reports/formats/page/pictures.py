"""Small pictures of images, which stand in the page as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from harness.reports.model import Table

SIDE = 48  # pixels, at most
MOST_BYTES = 3_000_000  # of all pictures of a page, as text


def table_pictures(table: Table, indices: Iterable[int], most_bytes: int = MOST_BYTES) -> dict[int, bytes]:
    """Pictures of the images that a table's rows were scored on, from the data, or as an archive brought them.

    None where the images are not here, or are others.
    """
    indices, kept = list(indices), table.predictions
    if not indices or kept is None or kept.split is None:
        return {}
    split = table.images()
    if split is not None and split.fingerprint == kept.split.fingerprint:
        return pictures(split.images, indices, most_bytes)
    brought = kept.shown.pictures if kept.shown is not None else {}
    return _as_far_as_they_fit(((index, brought[index]) for index in indices if index in brought), most_bytes)


def pictures(images: np.ndarray, indices: Iterable[int], most_bytes: int = MOST_BYTES) -> dict[int, bytes]:
    """Index → a webp, in order, as far as they fit into ``most_bytes`` as text.

    Args:
        images: (N, H, W, 1 or 3) uint8, of which few are read.
    """
    there = (index for index in dict.fromkeys(indices) if 0 <= index < len(images))
    return _as_far_as_they_fit(((index, _picture(images[index])) for index in there), most_bytes)


def as_text(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _as_far_as_they_fit(made: Iterable[tuple[int, bytes]], most_bytes: int) -> dict[int, bytes]:
    fitting: dict[int, bytes] = {}
    for index, picture in made:
        if index in fitting:
            continue
        most_bytes -= len(as_text(picture))
        if most_bytes < 0:
            break
        fitting[index] = picture
    return fitting


def _picture(pixels: np.ndarray) -> bytes:
    import numpy as np
    from PIL import Image

    array = np.asarray(pixels)
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "webp", quality=72, method=4)
    return file.getvalue()

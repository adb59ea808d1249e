"""Small pictures of images, as text that stands in the page."""

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


def table_pictures(table: Table, indices: Iterable[int], most_bytes: int) -> dict[int, str]:
    """Pictures of the images that a table's rows were scored on; none where they are not here, or are others."""
    indices = list(indices)
    scored, split = table.predictions.split if table.predictions else None, table.images() if indices else None
    if scored is None or split is None or split.fingerprint != scored.fingerprint:
        return {}
    return pictures(split.images, indices, most_bytes)


def pictures(images: np.ndarray, indices: Iterable[int], most_bytes: int = MOST_BYTES) -> dict[int, str]:
    """Index → ``data:image/webp;base64,…``, in order, as far as they fit into ``most_bytes``.

    Args:
        images: (N, H, W, 1 or 3) uint8, of which few are read.
    """
    made: dict[int, str] = {}
    for index in dict.fromkeys(indices):
        if not 0 <= index < len(images):
            continue
        picture = _picture(images[index])
        most_bytes -= len(picture)
        if most_bytes < 0:
            break
        made[index] = picture
    return made


def _picture(pixels: np.ndarray) -> str:
    import numpy as np
    from PIL import Image

    array = np.asarray(pixels)
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "webp", quality=72, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"

"""What a page shows of a table beside its numbers, kept for readers who have neither the data nor the features.

Small pictures of the images that the page shows, and the features of those on its map: a megabyte a table. An archive
of runs brings them; where the bench ran, data and features serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.runs.arrays import array_bytes, load_arrays
from harness.runs.handed_on import ShownRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

ARRAYS = ("numbers", "pictures", "ends", "images", "features")


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures and features of images of a split."""

    split_fingerprint: str
    pictures: Mapping[int, bytes]  # image → webp
    row: str | None = None
    images: np.ndarray | None = None  # (M,) int64, of the features
    features: np.ndarray | None = None  # (M, D) float32


def shown_file(output: Path, bench: str, table: int) -> Path:
    return output / "shown" / f"{bench}-{table}.npz"


def shown_bytes(shown: Shown) -> memoryview:
    """The content of a file in shown/; equal values give equal bytes."""
    import numpy as np

    ends = np.cumsum([len(picture) for picture in shown.pictures.values()], dtype=np.int64)
    return array_bytes(
        ShownRecord(split_fingerprint=shown.split_fingerprint, row=shown.row),
        numbers=np.array(list(shown.pictures), dtype=np.int64),
        pictures=np.frombuffer(b"".join(shown.pictures.values()), np.uint8),
        ends=ends,
        images=np.zeros(0, np.int64) if shown.images is None else shown.images,
        features=np.zeros((0, 0), np.float32) if shown.features is None else shown.features,
    )


def load_shown(path: Path) -> Shown | None:
    """What a file in shown/ holds; None where there is none.

    Raises:
        RunsError: it is damaged.
    """
    if not path.exists():
        return None
    record, arrays = load_arrays(ShownRecord, path, *ARRAYS, remedy="Delete it: the page does without")
    try:
        check_shown(arrays)
    except ValueError as error:
        raise RunsError(f"{path} is damaged ({error}). Delete it: the page does without") from None
    ends, content = arrays["ends"].tolist(), arrays["pictures"].tobytes()
    starts = [0, *ends][: len(ends)]
    pictures = {
        int(number): content[start:end] for number, start, end in zip(arrays["numbers"], starts, ends, strict=True)
    }
    return Shown(record.split_fingerprint, pictures, record.row, arrays["images"], arrays["features"])


def check_shown(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where the arrays do not fit each other, or a picture is none."""
    import numpy as np

    numbers, pictures, ends = arrays["numbers"], arrays["pictures"], arrays["ends"]
    images, features = arrays["images"], arrays["features"]
    whole = all(array.dtype == np.int64 and array.ndim == 1 for array in (numbers, ends, images))
    if not whole or pictures.dtype != np.uint8 or pictures.ndim != 1 or features.dtype != np.float32:
        raise ValueError("its arrays are of other kinds than a harness writes")
    if features.ndim != 2 or len(features) != len(images) or not bool(np.isfinite(features).all()):
        raise ValueError("its features do not fit its images")
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    if len(numbers) != len(ends) or (len(ends) and ends[-1] != len(pictures)) or bool((ends - starts < 12).any()):
        raise ValueError("its pictures do not fit their numbers")
    if bool((numbers < 0).any()) or bool((images < 0).any()):
        raise ValueError("an image has a number below 0")
    for start in starts.tolist():
        head = pictures[start : start + 12].tobytes()
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            raise ValueError("a picture is no webp")

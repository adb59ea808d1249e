"""Images on their way into the prepared form: decoded by several threads, written once in the order they come.

Their canonical order is known only when all have come, so they are put down as raw rows in a temporary file, and
copied from there in order, a block at a time. Memory stays bounded however many there are.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from harness.common.errors import DataError
from harness.contract.data import SplitName
from harness.datasets.prepared.fingerprints import DIGEST, image_digests
from harness.datasets.preparing.forms import Item, Reading
from harness.datasets.preparing.sources.files import File, check_space, read
from harness.datasets.preparing.sources.images import decode, quiet_decoding

TOGETHER = 128  # images that a thread takes at a time
BLOCK = 4 << 20  # bytes copied at a time

Key = tuple[SplitName | None, str | int]
Progress = Callable[[int, int], None]  # images done, images in all


class Spool:
    """Rows of pixels in a temporary file, with the class key and the digest of each."""

    def __init__(self, folder: Path, image_size: int, channels: int) -> None:
        self.shape = (image_size, image_size, channels)
        self.keys: list[Key] = []
        self._path = folder / "rows"
        self._key_of = array("l")  # the place in ``keys``, an image
        self._digests = bytearray()

    def fill(self, reading: Reading, progress: Progress | None = None) -> None:
        """Decode and write all images. Raises DataError for the first that is no image, or of another size."""
        numbers: dict[Key, int] = {}
        total = reading.images
        check_space(self._path.parent, 2 * total * int(np.prod(self.shape)), f"{total:,} images, prepared")
        with self._path.open("wb") as file, quiet_decoding():
            for taken, rows, digests in self._decoded(reading):
                for item in taken:
                    self._key_of.append(numbers.setdefault((item.split, item.key), len(numbers)))
                file.write(rows.data)
                self._digests += digests.tobytes()
                if progress is not None:
                    progress(len(self._key_of), total)
        self.keys = list(numbers)

    @property
    def key_of(self) -> np.ndarray:
        """(N,) int64: the place of each image's class in ``keys``."""
        return np.array(self._key_of, dtype=np.int64)

    @property
    def digests(self) -> np.ndarray:
        """(N, 32) uint8."""
        return np.frombuffer(self._digests, dtype=np.uint8).reshape(-1, DIGEST)

    def blocks(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """The images (n, H, W, C) in ``order`` (M,), a block at a time."""
        rows = np.memmap(self._path, dtype=np.uint8, mode="r").reshape(-1, *self.shape)
        step = max(1, BLOCK // int(np.prod(self.shape)))
        for start in range(0, len(order), step):
            yield np.asarray(rows[order[start : start + step]])

    def _decoded(self, reading: Reading) -> Iterator[tuple[list[Item], np.ndarray, np.ndarray]]:
        """Items with their pixels and digests, in order; a few groups ahead are being decoded."""
        workers, items = min(16, _cores()), iter(reading.items)
        waiting: deque[tuple[list[Item], Future[tuple[np.ndarray, np.ndarray]]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="harness-decode") as pool:
            try:
                while taken := list(islice(items, TOGETHER)):
                    waiting.append((taken, pool.submit(self._pixels, taken, reading)))
                    if len(waiting) > workers + 1:
                        first, future = waiting.popleft()
                        yield first, *future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, *future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _pixels(self, items: list[Item], reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        images = np.empty((len(items), *self.shape), dtype=np.uint8)
        for place, item in enumerate(items):
            images[place] = self._image(item, reading.resize)
        if reading.invert:
            np.subtract(255, images, out=images)
        return images, image_digests(images)

    def _image(self, item: Item, resize: bool) -> np.ndarray:
        size, _, channels = self.shape
        if not isinstance(item.image, np.ndarray):
            data = read(item.image) if isinstance(item.image, File) else item.image
            return decode(data, item.where, size, channels, resize)
        if item.image.shape != self.shape:
            raise DataError(f"{item.where}: {item.image.shape}, not {self.shape}: is this another dataset?")
        return item.image


def _cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

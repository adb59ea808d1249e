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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.common.errors import DamagedImage, DataError
from harness.contract.data import SplitName
from harness.datasets.prepared.fingerprints import DIGEST, image_digests
from harness.datasets.preparing.sources.files import File, check_space, read
from harness.datasets.preparing.sources.images import decode, quiet_decoding

if TYPE_CHECKING:
    from harness.datasets.preparing.forms import Item, Reading

TOGETHER = 128  # images that a thread takes at a time
BLOCK = 4 << 20  # bytes copied at a time

DAMAGED_AT_MOST = 1000  # images that cannot be read, before the rest is not looked at

Key = tuple[SplitName | None, str | int]
Progress = Callable[[int, int], None]  # images done, images in all


class Pixels(NamedTuple):
    """Some items, decoded: those that could be read, and what is wrong with the others."""

    items: list[Item]
    rows: np.ndarray  # (n, H, W, C) uint8
    digests: np.ndarray  # (n, 32) uint8
    damaged: list[DamagedImage]


@dataclass(frozen=True)
class Handling:
    """What is done with the images beside decoding them."""

    swap_channels: bool = False  # arrays hold blue, green, red
    skip_damaged: bool = False  # leave out what cannot be read, and count it


AS_IT_IS = Handling()


class Spool:
    """Rows of pixels in a temporary file, with the class key and the digest of each."""

    def __init__(self, folder: Path, image_size: int, channels: int) -> None:
        self.shape = (image_size, image_size, channels)
        self.keys: list[Key] = []
        self.damaged: list[DamagedImage] = []
        self._path = folder / "rows"
        self._key_of = array("l")  # the place in ``keys``, an image
        self._digests = bytearray()

    def fill(self, reading: Reading, progress: Progress | None = None, handling: Handling = AS_IT_IS) -> None:
        """Decode and write all images; ``damaged`` has those that are left out.

        Raises:
            DataError: images cannot be read (all of them are named together), or one has another size.
        """
        numbers: dict[Key, int] = {}
        total, done = reading.images, 0
        check_space(self._path.parent, 2 * total * int(np.prod(self.shape)), f"{total:,} images, prepared")
        with self._path.open("wb") as file, quiet_decoding():
            for pixels in self._decoded(reading, handling):
                for item in pixels.items:
                    self._key_of.append(numbers.setdefault((item.split, item.key), len(numbers)))
                file.write(pixels.rows.data)
                self._digests += pixels.digests.tobytes()
                self.damaged += pixels.damaged
                if not handling.skip_damaged and len(self.damaged) >= DAMAGED_AT_MOST:
                    break
                done += len(pixels.items) + len(pixels.damaged)
                if progress is not None:
                    progress(done, total)
        if self.damaged and not handling.skip_damaged:
            raise DataError(_damage(self.damaged))
        self.keys = list(numbers)
        if not self.keys:
            raise DataError(f"no image is left: {_damage(self.damaged)}" if self.damaged else "the source has no image")

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

    def _decoded(self, reading: Reading, handling: Handling) -> Iterator[Pixels]:
        """All items' pixels, in order; a few groups ahead are being decoded."""
        workers, items = min(16, _cores()), iter(reading.items)
        waiting: deque[Future[Pixels]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="harness-decode") as pool:
            try:
                while taken := list(islice(items, TOGETHER)):
                    waiting.append(pool.submit(self._pixels, taken, reading, handling))
                    if len(waiting) > workers + 1:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _pixels(self, items: list[Item], reading: Reading, handling: Handling) -> Pixels:
        images = np.empty((len(items), *self.shape), dtype=np.uint8)
        readable: list[Item] = []
        damaged: list[DamagedImage] = []
        for item in items:
            try:
                image = self._image(item, reading.resize)
            except DamagedImage as error:
                damaged.append(error)
            else:
                images[len(readable)] = image[..., ::-1] if handling.swap_channels else image
                readable.append(item)
        images = images[: len(readable)]
        if reading.invert:
            np.subtract(255, images, out=images)
        return Pixels(readable, images, image_digests(images), damaged)

    def _image(self, item: Item, resize: bool) -> np.ndarray:
        size, _, channels = self.shape
        if not isinstance(item.image, np.ndarray):
            return decode(_encoded(item.image), item.where, size, channels, resize)
        if item.image.shape != self.shape:
            raise DataError(f"{item.where}: {item.image.shape}, not {self.shape}: is this another dataset?")
        return item.image


def _encoded(image: File | bytes | memoryview) -> bytes | memoryview:
    """Raises DamagedImage where the file cannot be read."""
    if not isinstance(image, File):
        return image
    try:
        return read(image)
    except DataError as error:
        raise DamagedImage(str(error)) from None


def _damage(damaged: list[DamagedImage]) -> str:
    """One line for all: how many, the first few by name, and what to do."""
    if len(damaged) == 1:
        return f"{damaged[0]}, or leave it out with --skip-damaged"
    number = f"at least {len(damaged):,}" if len(damaged) >= DAMAGED_AT_MOST else f"{len(damaged):,}"
    more = f"; and {len(damaged) - 3:,} more" if len(damaged) > 3 else ""
    first = "; ".join(str(error).partition(": remove it")[0] for error in damaged[:3])
    return (
        f"{number} images cannot be read: {first}{more}. Remove them or copy them again, "
        "or leave them out with --skip-damaged"
    )


def _cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

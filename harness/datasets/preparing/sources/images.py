"""Encoded images to pixels, whatever their format, size and colour mode; hostile ones refused."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from harness.common.errors import DamagedImage, DataError

Image.init()  # all of Pillow's formats, not only the commonest five
# Photographs and drawings; no format whose reader starts another program, or takes any bytes for an image.
FORMATS = tuple(
    name
    for name in ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI")
    if name in Image.OPEN
)
SUFFIXES = tuple(sorted(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS))
MOST_PIXELS = 64_000_000  # more is refused as a decompression bomb
MOST_PIXELS_OF = {"WEBP": 30_000_000, "AVIF": 30_000_000, "JPEG2000": 20_000_000}  # whose decoders hold several copies
MOST_COEFFICIENTS = 200_000_000  # of a progressive JPEG, which is held whole, two bytes each
LONGEST_SIDE = 32_768  # pixels
LARGE = 4_000_000  # pixels; from here on images are resized in bands
BAND = 1_000_000  # pixels


class _Budget:
    """Pixels that all threads together may decode at a time; a pixel takes four bytes, whatever its colours."""

    def __init__(self, pixels: int) -> None:
        self._left = pixels
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until others have given back enough. ``pixels`` are at most what there are in all."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._left += pixels
                self._changed.notify_all()


_budget = _Budget(MOST_PIXELS)


def decode(data: bytes | memoryview, where: str, size: int, channels: int, resize: bool) -> np.ndarray:
    """The image as (size, size, channels) uint8.

    An image of another size is resized, its sides apart: the published 84×84 versions of ImageNet were made so. The
    filter is Pillow's bicubic, antialiased. Turned photographs are set upright as their EXIF entry says. Of an
    animation the first picture is taken.

    Args:
        where: the image's name, for messages.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted, transparency is dropped.
        resize: False where any other size is an error.
    Raises:
        DamagedImage: not an image, damaged, or a decompression bomb.
        DataError: of a wrong size.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > _most_pixels(image) or max(width, height) > LONGEST_SIDE:
                raise DamagedImage(
                    f"{where}: {width}×{height} pixels: refused as a decompression bomb; shrink it first"
                )
            if not resize and image.size != (size, size):
                raise DataError(f"{where}: {width}×{height} pixels, not {size}×{size}: is this another dataset?")
            if image.format == "JPEG" and resize:
                image.draft(None, (2 * size, 2 * size))  # decodes at a half, a quarter or an eighth where that is ample
            pixels = width * height if _progressive(image) else image.size[0] * image.size[1]
            with _budget.taken(pixels):
                square = (_resized_in_bands if pixels > LARGE else _resized)(image, size, channels)
            return np.asarray(square).reshape(size, size, channels)
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DamagedImage(f"{where}: refused as a decompression bomb; shrink the image first") from None
    except Exception as error:  # Pillow's readers raise what they like on damaged files
        start = bytes(data[:4]).hex(" ") or "nothing"
        raise DamagedImage(
            f"{where}: not an image that can be read ({type(error).__name__}; it begins with {start}): "
            "remove it or copy it again"
        ) from None


def _progressive(image: Image.Image) -> bool:
    return bool(image.info.get("progressive"))


def _most_pixels(image: Image.Image) -> int:
    if _progressive(image):
        return min(MOST_PIXELS, MOST_COEFFICIENTS // len(image.getbands()))
    return MOST_PIXELS_OF.get(image.format or "", MOST_PIXELS)


def _resized(image: Image.Image, size: int, channels: int) -> Image.Image:
    plain = _plain(ImageOps.exif_transpose(image), channels)
    return plain if plain.size == (size, size) else plain.resize((size, size), Image.Resampling.BICUBIC)


def _resized_in_bands(image: Image.Image, size: int, channels: int) -> Image.Image:
    """The same pixels as ``_resized``, with one copy of the image in memory instead of up to four.

    Pillow resizes rows first, each by itself, then columns. So bands of rows are turned, converted and narrowed, and
    what is left of them is then shortened.
    """
    image.load()
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    width, height = image.size if turn not in SIDEWAYS else image.size[::-1]
    narrow = Image.new("L" if channels == 1 else "RGB", (size, height))
    step = max(1, BAND // width)
    for top in range(0, height, step):
        rows = min(step, height - top)
        band = image.crop(_box(image.size, turn, top, top + rows))
        upright = band if turn is None else band.transpose(turn)
        narrow.paste(_plain(upright, channels).resize((size, rows), Image.Resampling.BICUBIC), (0, top))
    return narrow.resize((size, size), Image.Resampling.BICUBIC)


ORIENTATION = 0x0112  # the EXIF entry
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {TURNS[number] for number in (5, 6, 7, 8)}
FROM_THE_END = {TURNS[number] for number in (3, 4, 7, 8)}  # the upright image's first row is the last row or column


def _box(size: tuple[int, int], turn: Image.Transpose | None, top: int, bottom: int) -> tuple[int, int, int, int]:
    """Where the rows ``top`` to ``bottom`` of the upright image lie in the image as it is stored."""
    width, height = size
    if turn in FROM_THE_END:
        length = width if turn in SIDEWAYS else height
        top, bottom = length - bottom, length - top
    return (top, 0, bottom, height) if turn in SIDEWAYS else (0, top, width, bottom)


def _plain(image: Any, channels: int) -> Any:
    """The image in grey or RGB."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("L" if channels == 1 else "RGB")


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Inside, Pillow's remarks about odd files are dropped, and its decompression-bomb warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

"""Encoded images to pixels, whatever their format, size and colour mode; hostile ones refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from harness.common.errors import DamagedImage, DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no format whose reader starts another program
LARGEST = 64_000_000  # pixels; more is refused as a decompression bomb


def decode(data: bytes | memoryview, where: str, size: int, channels: int, resize: bool) -> np.ndarray:
    """The image as (size, size, channels) uint8.

    An image of another size is resized, its sides apart: the published 84×84 versions of ImageNet were made so. The
    filter is Pillow's bicubic, antialiased. Turned photographs are set upright as their EXIF entry says.

    Args:
        where: the image's name, for messages.
        channels: 1 for grey, 3 for RGB; images of the other kind are converted, transparency is dropped.
        resize: False where any other size is an error.
    Raises:
        DamagedImage: not an image, damaged, or a decompression bomb.
        DataError: of a wrong size.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST:
                raise DamagedImage(
                    f"{where}: {width}×{height} pixels: refused as a decompression bomb; shrink it first"
                )
            if image.format == "JPEG" and resize:
                image.draft(None, (2 * size, 2 * size))  # decodes at a half, a quarter or an eighth where that is ample
            upright: Any = ImageOps.exif_transpose(image)
            if not resize and upright.size != (size, size):
                raise DataError(f"{where}: {width}×{height} pixels, not {size}×{size}: is this another dataset?")
            if upright.mode.startswith("I;16"):
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            plain = upright.convert("L" if channels == 1 else "RGB")
            if plain.size != (size, size):
                plain = plain.resize((size, size), Image.Resampling.BICUBIC)
            return np.asarray(plain).reshape(size, size, channels)
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


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Inside, Pillow's remarks about odd files are dropped, and its decompression-bomb warning is an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

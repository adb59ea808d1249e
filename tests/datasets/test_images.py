"""Images of any size, colour and format become square uint8 arrays; what is no image or a bomb is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.common.errors import DataError
from harness.datasets.preparing.sources import images
from harness.datasets.preparing.sources.images import FORMATS, SUFFIXES, decode, quiet_decoding


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_lossless_images_of_the_right_size_keep_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        assert np.array_equal(decode(encoded(Image.fromarray(pixels), kind), "x", 32, 3, resize=False), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_colour_mode_is_converted(mode: str, channels: int) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.new(mode, (20, 12))
    assert decode(encoded(image, kind), "x", 8, channels, resize=True).shape == (8, 8, channels)


def test_a_colour_image_becomes_the_same_grey_in_all_channels_only_if_it_was_grey() -> None:
    grey = Image.new("L", (8, 8), 77)
    assert np.unique(decode(encoded(grey), "x", 8, 3, resize=False)).tolist() == [77]


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    deep = Image.fromarray(np.full((8, 8), 0x8123, dtype=np.uint16))
    assert np.unique(decode(encoded(deep), "x", 8, 1, resize=False)).tolist() == [0x81]


def test_sides_are_resized_apart_and_antialiased() -> None:
    stripes = np.zeros((40, 80, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the target can show
    out = decode(encoded(Image.fromarray(stripes)), "x", 8, 3, resize=True)
    assert out.shape == (8, 8, 3)
    assert np.abs(out[1:-1, 1:-1].astype(int) - 127).max() <= 12


def test_a_turned_photograph_is_set_upright() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255  # white above black
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    out = decode(encoded(Image.fromarray(pixels), exif=exif), "x", 8, 3, resize=False)
    assert out[0].max() == 0
    assert out[-1].min() == 255


def test_another_size_is_an_error_where_the_size_is_published() -> None:
    with pytest.raises(DataError, match=r"apple.png: 30×32 pixels, not 32×32"):
        decode(encoded(Image.new("RGB", (30, 32))), "apple.png", 32, 3, resize=False)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0" + b"0" * 50]
)
def test_what_is_no_image_is_told_with_its_first_bytes(data: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.png: not an image that can be read"):
        decode(data, "x.png", 8, 3, resize=True)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_image_is_refused(keep: float, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), kind)
    with pytest.raises(DataError, match="not an image"):
        decode(data[: int(len(data) * keep)], "x", 64, 3, resize=False)


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int, tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    with quiet_decoding(), pytest.raises(DataError, match="decompression bomb"):
        decode(bomb, "x", 8, 3, resize=True)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_a_large_image_has_the_pixels_of_one_decoded_whole(
    turn: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(turn).integers(0, 256, (70, 110, 3), dtype=np.uint8)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(image, exif=exif)
    whole = [decode(data, "x", size, channels, resize=True) for size in (16, 70) for channels in (1, 3)]
    monkeypatch.setattr(images, "LARGE", 100)
    monkeypatch.setattr(images, "BAND", 300)
    bands = [decode(data, "x", size, channels, resize=True) for size in (16, 70) for channels in (1, 3)]
    assert all(np.array_equal(left, right) for left, right in zip(whole, bands, strict=True))


@pytest.mark.parametrize("size", [(1, 60_000_000), (60_000_000, 1), (40_000, 8)])
def test_a_side_of_tens_of_thousands_of_pixels_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    header = b"P5 %d %d 255\n" % size
    with quiet_decoding(), pytest.raises(DataError, match="pixels: refused as a decompression bomb"):
        decode(header + b"\0" * 1000, "x", 8, 3, resize=True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI"])
def test_a_grey_image_is_read_in_every_format(kind: str) -> None:
    if kind not in FORMATS:
        pytest.skip(f"this Pillow reads no {kind}")
    data = encoded(Image.new("RGB", (16, 16), (90, 90, 90)), kind)
    assert np.abs(decode(data, "x", 16, 3, resize=False).astype(int) - 90).max() <= 2


def test_the_first_picture_of_an_animation_is_taken() -> None:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
        assert np.unique(decode(data, "x", 8, 3, resize=False).reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


def test_files_are_known_by_every_suffix_of_those_formats() -> None:
    assert {".png", ".jpg", ".jpeg", ".jfif", ".jp2", ".webp", ".tif", ".bmp", ".gif", ".ppm"} <= set(SUFFIXES)
    assert not {".eps", ".pdf", ".mpg", ".h5", ".txt", ".heic"} & set(SUFFIXES)

"""Images that unpack to far more than their file, are very long, or are none."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hostile.case import RED, Case, damaged


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, colour: int = 2, bits: int = 8, extra: bytes = b"", whole: bool = True) -> bytes:
    """A PNG file of zeros: ``colour`` 0 is grey, 2 RGB, 3 a palette, 6 RGBA."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    palette = _chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    row = 1 + (width * {0: 1, 2: 3, 3: 1, 6: 4}[colour] * bits + 7) // 8
    packer, data = zlib.compressobj(1), b""
    for start in range(0, row * height if whole else 1000, 1 << 20):
        data += packer.compress(bytes(min(1 << 20, (row * height if whole else 1000) - start)))
    data += packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + palette + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    return _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))


def _profile_bomb() -> bytes:
    return _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000)))


def _turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "PNG", exif=exif, compress_level=1)


def _large(kind: str, mode: str, size: tuple[int, int], **options: Any) -> Any:
    return lambda: encoded(Image.new(mode, size), kind, **options)


def _made() -> Iterator[tuple[str, str, Any, bool]]:
    yield "1 x 64 million grey", "png", lambda: png(1, 64_000_000, 0), True
    yield "64 million x 1 grey", "png", lambda: png(64_000_000, 1, 0), True
    yield "1 x 60 million RGBA", "png", lambda: png(1, 20_000_000, 6), True
    yield "30,000 x 30,000 declared", "png", lambda: png(30_000, 30_000, whole=False), True
    yield "2^31 x 2^31 declared", "png", lambda: png(2**31 - 1, 2**31 - 1, whole=False), True
    yield "0 x 0", "png", lambda: png(0, 0, whole=False), True
    yield "8,000 x 8,000 RGBA", "png", lambda: png(8_000, 8_000, 6), False
    yield "8,000 x 8,000 of 16 bits", "png", lambda: png(8_000, 8_000, 0, 16), False
    yield "8,000 x 8,000 of a palette", "png", lambda: png(8_000, 8_000, 3), False
    yield "8,000 x 8,000 of 48 bits", "png", lambda: png(8_000, 8_000, 2, 16), False
    yield "32,000 x 2,000", "png", lambda: png(32_000, 2_000), False
    yield "2,000 x 32,000", "png", lambda: png(2_000, 32_000), False
    yield "7,000 x 7,000, turned", "png", lambda: _turned(Image.new("RGB", (7_000, 7_000))), False
    yield "a text of 100 MB", "png", lambda: png(8, 8, extra=_text_bomb()), False
    yield "a profile of 100 MB", "png", lambda: png(8, 8, extra=_profile_bomb()), False
    yield "8,000 x 8,000", "jpg", _large("JPEG", "RGB", (8_000, 8_000), quality=20), False
    yield "8,000 x 8,000 progressive", "jpg", _large("JPEG", "RGB", (8_000, 8_000), progressive=True), False
    yield "7,000 x 7,000 progressive CMYK", "jpg", _large("JPEG", "CMYK", (7_000, 7_000), progressive=True), False
    yield "65,000 x 900", "jpg", _large("JPEG", "L", (65_000, 900)), True
    yield "8,000 x 8,000", "gif", _large("GIF", "P", (8_000, 8_000)), False
    yield "5,400 x 5,400", "webp", _large("WEBP", "RGB", (5_400, 5_400), method=0), False
    yield "8,000 x 8,000 declared", "webp", lambda: _webp_header(8_000, 8_000), True
    yield "8,000 x 8,000", "tif", _large("TIFF", "RGB", (8_000, 8_000), compression="tiff_lzw"), False
    yield "8,000 x 8,000 of floats", "tif", _large("TIFF", "F", (8_000, 8_000), compression="tiff_lzw"), False
    yield "60,000 x 60,000 declared", "tif", lambda: _tiff_header(60_000), True
    yield "4,400 x 4,400", "jp2", _large("JPEG2000", "RGB", (4_400, 4_400), num_resolutions=1), False
    yield "8,000 x 8,000 of a bit", "pbm", lambda: b"P4 8000 8000\n" + bytes(8_000_000), False
    yield "8,000 x 8,000 in words", "ppm", lambda: b"P2 8000 8000 255\n" + b"0 " * 1_000, True
    yield "10^9 x 10^9 in words", "ppm", lambda: b"P6 1000000000 1000000000 255\n", True
    yield "a number of a megabyte", "ppm", lambda: b"P6 " + b"9" * 1_000_000, True
    yield "8,000 x 8,000 run lengths", "bmp", lambda: _bmp(8_000, 8_000), False
    yield "-1 x -1", "bmp", lambda: _bmp(-1, -1), True
    for kind, data in (
        ("PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
        ("PDF", b"%PDF-1.7\n"),
        ("escape sequences", RED.encode() * 10),
        ("nothing", b""),
    ):
        yield kind, "png", lambda data=data: data, True


def _webp_header(width: int, height: int) -> bytes:
    frame = b"\x9d\x01\x2a" + struct.pack("<HH", width, height)
    data = b"VP8 " + struct.pack("<I", 100) + b"\x10\0\0" + frame + bytes(90)
    return b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data


def _tiff_header(side: int) -> bytes:
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 2**31 - 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + 4, 0, 0, 14 + 40 + 1024) + info + bytes(1024) + b"\0\1\0\1"


def _in_folder(suffix: str, data: bytes, name: str = "1") -> Any:
    def build(folder: Path) -> None:
        place = folder / "test" / "cat"
        place.mkdir(parents=True)
        (place / f"{name}.{suffix}").write_bytes(data)

    return build


LIGHT = (("png", "8,000 x 8,000 of a palette"), ("gif", "8,000 x 8,000"), ("webp", "5,400 x 5,400"))


def cases() -> Iterator[Case]:
    for kind, suffix, make, refused in _made():
        yield Case(
            f"image: {suffix}: {kind}",
            lambda folder, suffix=suffix, make=make: _in_folder(suffix, make())(folder),  # type: ignore[misc]
            "folder",
            refused,
            heavy=not refused and "000" in kind and (suffix, kind) not in LIGHT,
        )
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    yield Case("image: png: a name that obeys", _in_folder("png", encoded(small, "PNG"), RED), "folder")
    yield Case("image: png: a name that obeys, damaged", _in_folder("png", b"x", RED), "folder", refused=True)
    for kind, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("TIFF", "tif"), ("GIF", "gif")):
        yield from damaged(
            f"image: {suffix}",
            encoded(small, kind),
            lambda folder, data, suffix=suffix: _in_folder(suffix, data)(folder),
            "folder",
        )

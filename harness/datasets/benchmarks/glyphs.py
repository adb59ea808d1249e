"""``glyphs``: the embedded dataset. Characters, rendered on first use in seconds; nothing to download.

Every character is drawn in the twelve DejaVu text faces that matplotlib carries, and each drawing is warped by three
random affine maps: 36 images of 32×32 pixels a class, white on black. It is synthetic, and says so wherever it is
named, but it behaves as a benchmark should: raw pixels reach 29 / 40 % (5-way, 1 / 5 shots, nearest class mean),
while a small trained network exceeds 80 / 90 %. The alphabets share some shapes (Greek omicron, Armenian oh and
Cyrillic o are one circle), as real benchmarks share visual concepts between splits.

A turned letter mostly stays its own class, so rotation self-supervision makes sense here. The exceptions are the
turned letters of the IPA (ə is a turned Cyrillic е, ɔ a turned с, ʎ a turned у): under ten of the 153 base classes.
"""

from __future__ import annotations

import hashlib
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import DataError
from harness.common.version import installed_version
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, SplitName

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

ALPHABETS: dict[SplitName, tuple[tuple[int, int], ...]] = {  # first and last code point
    "train": ((0x0410, 0x044F), (0x0250, 0x02A8)),  # Cyrillic 64, IPA 89
    "val": ((0x03B1, 0x03C9),),  # Greek 25
    "test": ((0x0531, 0x0556), (0x0561, 0x0586), (0x10D0, 0x10F0)),  # Armenian 38 + 38, Georgian 33
}
FACES = tuple(
    f"DejaVu{face}.ttf"
    for face in (
        *("Sans", "Sans-Bold", "Sans-BoldOblique", "Sans-Oblique"),
        *("SansMono", "SansMono-Bold", "SansMono-BoldOblique", "SansMono-Oblique"),
        *("Serif", "Serif-Bold", "Serif-BoldItalic", "Serif-Italic"),
    )
)
WARPS = 3  # a face
SIZE = 32  # pixels
CANVAS, FONT = 96, 60  # pixels; drawn large, so that a warp loses nothing
VERSION = 1  # raised when the recipe changes

log = logging.getLogger("harness")


def _open(request: DataRequest) -> Dataset:
    """The dataset from the cache, rendered into it where it is not yet there. A cache is not needed to run."""
    from harness.datasets.prepared import store
    from harness.datasets.prepared.locations import cache_root
    from harness.datasets.prepared.opening import refuse_size

    refuse_size(GLYPHS, request)
    root, name = cache_root(), _cache_name()
    try:
        try:
            return store.open_folder(GLYPHS, store.build(root, name, _write))
        except DataError:  # damaged
            return store.open_folder(GLYPHS, store.build(root, name, _write, replace=True))
    except (DataError, OSError) as error:
        log.warning("glyphs is rendered in memory: %s", error)
        return _in_memory()


def _write(folder: Path) -> None:
    from harness.datasets.prepared import store

    records: dict[SplitName, store.SplitRecord] = {}
    for name in ALPHABETS:
        images, labels, digests = _render_split(name)
        shape = (SIZE, SIZE, 3)
        records[name] = store.write_split(folder, name, _class_names(name), labels, digests, [images], shape)
    store.write_index(folder, store.Index("glyphs", records, origin={"form": "rendered"}))


def _in_memory() -> Dataset:
    from harness.contract.data import Split
    from harness.datasets.prepared.fingerprints import class_digest, split_fingerprint

    splits = {}
    for name in ALPHABETS:
        images, labels, digests = _render_split(name)
        names, images_per_class = _class_names(name), len(FACES) * WARPS
        classes = [
            (label, images_per_class, class_digest(digests[i * images_per_class : (i + 1) * images_per_class]))
            for i, label in enumerate(names)
        ]
        splits[name] = Split(name, images, labels, names, split_fingerprint(images.shape[1:], classes))
    return Dataset(GLYPHS, splits["train"], splits["val"], splits["test"])


def _cache_name() -> str:
    """Changes with all that decides a pixel: the recipe, the faces, and what draws them."""
    from PIL import features

    packages = [installed_version(package) for package in ("pillow", "matplotlib")]
    parts = [VERSION, *packages, features.version("freetype2")]
    return f"glyphs-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


def _font_files() -> list[Path]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = [folder / face for face in FACES]
    for path in paths:
        if not path.is_file():
            raise DataError(f"glyphs needs {path.name}, which matplotlib brings, in {folder}: reinstall matplotlib")
    return paths


def _characters(split: SplitName) -> list[str]:
    return [chr(code) for first, last in ALPHABETS[split] for code in range(first, last + 1)]


def _class_names(split: SplitName) -> tuple[str, ...]:
    return tuple(f"U+{ord(character):04X} {character}" for character in _characters(split))


def _render_split(split: SplitName) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 in canonical order, labels (N,) int64 and digests (N, 32)."""
    import numpy as np
    from PIL import ImageFont

    from harness.datasets.prepared.fingerprints import canonical_order, image_digests

    fonts = [ImageFont.truetype(str(path), FONT, layout_engine=ImageFont.Layout.BASIC) for path in _font_files()]
    characters = _characters(split)
    grey = np.stack([_render(character, font, i) for character in characters for i, font in enumerate(fonts)])
    images = np.repeat(grey.reshape(-1, SIZE, SIZE, 1), 3, axis=3)  # (n_classes × 12 × 3, 32, 32, 3)
    labels = np.repeat(np.arange(len(characters)), len(fonts) * WARPS)
    digests = image_digests(images)
    order = canonical_order(labels, digests)
    return images[order], labels, digests[order]


def _render(character: str, font: FreeTypeFont, face: int) -> np.ndarray:
    """(3, 32, 32) uint8: one drawing under three random warps."""
    import numpy as np
    from PIL import Image, ImageDraw

    from harness.common.randomness import numpy_generator

    left, top, right, bottom = font.getbbox(character)
    drawing = Image.new("L", (CANVAS, CANVAS))
    corner = ((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2)  # centres the character
    ImageDraw.Draw(drawing).text(corner, character, fill=255, font=font)
    rng = numpy_generator(0, "glyphs", ord(character), face)
    return np.stack([np.asarray(_warp(drawing, rng)) for _ in range(WARPS)])


def _warp(drawing: Image, rng: np.random.Generator) -> Image:
    """The drawing turned by up to 17°, sheared, scaled by 0.75 to 1.15 and moved by up to 3 pixels, at 32×32."""
    import numpy as np
    from PIL import Image

    angle, shear = rng.uniform(-0.3, 0.3), rng.uniform(-0.25, 0.25)
    scale = rng.uniform(0.75, 1.15)
    shift = rng.uniform(-9, 9, 2)  # on the canvas, 3 of its pixels are one of the image
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back = np.linalg.inv(scale * turn @ np.array([[1, shear], [0, 1]]))  # from the image to the drawing
    centre = np.full(2, CANVAS / 2)
    offset = centre - back @ (centre + shift)
    matrix = (*back[0], offset[0], *back[1], offset[1])
    warped = drawing.transform(drawing.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return warped.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


GLYPHS = DatasetSpec(
    name="glyphs",
    title="synthetic characters in twelve DejaVu faces, rendered on first use: 153/25/109 classes of 36 images",
    image_size=SIZE,
    open=_open,
    mean=(0.067, 0.067, 0.067),
    std=(0.217, 0.217, 0.217),
    augmentation=Augmentation(crop_padding=4),
    counts={"train": (153, 5508), "val": (25, 900), "test": (109, 3924)},
    licence="the DejaVu fonts are free: Bitstream Vera licence, changes in the public domain",
    citation="made by this harness",
    obtain="nothing to obtain: rendered from the fonts that matplotlib carries",
)

"""A picture of a dataset: a few images of a few classes of each split, on one sheet."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.common.fonts import Fonts, fonts_for
from harness.datasets.preparing.classes import ROLES, titles

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from harness.contract.data import Dataset, Split

CLASSES, IMAGES = 12, 10  # rows a split and images a row, at most
GAP, TEXT, LETTERS = 2, 190, 11  # pixels between images; width of the class names; size of their letters


def write_preview(dataset: Dataset, path: Path) -> str:
    """Write a contact sheet as PNG: a row a class, evenly spaced among the classes of each split.

    Returns a line on characters of class names that no installed font has; empty where there are none.
    """
    from PIL import Image

    from harness.common.files import atomic_write

    cell = max(split.images.shape[1] for split in dataset.splits) + GAP
    height = sum(_rows(split) * cell + 3 * GAP + 14 for split in dataset.splits)
    sheet = Image.new("RGB", (TEXT + IMAGES * cell + GAP, height), "white")
    known, top = titles(dataset.spec.name), GAP
    fonts = fonts_for("".join(known.get(name, name) for split in dataset.splits for name in split.class_names))
    pen = _Pen(sheet, fonts)
    for split in dataset.splits:
        pen.write(GAP, top + 6, f"{ROLES[split.name]} ({split.name}): {split.n_classes} classes")
        top += 14
        for label in np.linspace(0, split.n_classes - 1, _rows(split)).astype(int):
            places = np.flatnonzero(split.labels == label)
            chosen = places[np.linspace(0, len(places) - 1, min(IMAGES, len(places))).astype(int)]
            name = split.class_names[label]
            pen.write(GAP, top + cell // 2, known.get(name, name)[:30])
            for column, pixels in enumerate(np.asarray(split.images[np.unique(chosen)])):
                picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
                sheet.paste(picture, (TEXT + column * cell, top))
            top += cell
        top += 2 * GAP
    try:
        atomic_write(path, lambda file: sheet.save(file, format="PNG"))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): choose another --preview file") from None
    return str(fonts)


def _rows(split: Split) -> int:
    return min(CLASSES, split.n_classes)


class _Pen:
    """Writes on a sheet, each character in the first font that has it."""

    def __init__(self, sheet: PILImage, fonts: Fonts) -> None:
        from PIL import ImageDraw, ImageFont

        self._draw, self._fonts = ImageDraw.Draw(sheet), fonts
        self._loaded = {path: ImageFont.truetype(str(path), LETTERS) for path in fonts.paths}

    def write(self, left: float, middle: int, text: str) -> None:
        """``text`` from ``left``, its middle at ``middle`` (pixels)."""
        for path, characters in itertools.groupby(text, key=self._fonts.of):
            part = "".join(characters)
            self._draw.text((left, middle), part, "black", self._loaded[path], anchor="lm")
            left += self._loaded[path].getlength(part)

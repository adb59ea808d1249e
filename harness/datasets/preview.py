"""A picture of a dataset: a few images of a few classes of each split, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.contract.data import Dataset, Split
from harness.datasets.preparing.classes import ROLES, titles

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

CLASSES, IMAGES = 12, 10  # rows a split and images a row, at most
GAP, TEXT = 2, 190  # pixels between images; width of the class names


def write_preview(dataset: Dataset, path: Path) -> None:
    """Write a contact sheet as PNG: a row a class, evenly spaced among the classes of each split."""
    from PIL import Image, ImageDraw

    from harness.common.files import atomic_write

    cell = max(split.images.shape[1] for split in dataset.splits) + GAP
    height = sum(_rows(split) * cell + 3 * GAP + 14 for split in dataset.splits)
    sheet = Image.new("RGB", (TEXT + IMAGES * cell + GAP, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = _font()
    known, top = titles(dataset.spec.name), GAP
    for split in dataset.splits:
        draw.text((GAP, top), f"{ROLES[split.name]} ({split.name}): {split.n_classes} classes", "black", font)
        top += 14
        for label in np.linspace(0, split.n_classes - 1, _rows(split)).astype(int):
            places = np.flatnonzero(split.labels == label)
            chosen = places[np.linspace(0, len(places) - 1, min(IMAGES, len(places))).astype(int)]
            name = split.class_names[label]
            draw.text((GAP, top + cell // 2 - 6), known.get(name, name)[:30], "black", font)
            for column, pixels in enumerate(np.asarray(split.images[np.unique(chosen)])):
                picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
                sheet.paste(picture, (TEXT + column * cell, top))
            top += cell
        top += 2 * GAP
    try:
        atomic_write(path, lambda file: sheet.save(file, format="PNG"))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): choose another --preview file") from None


def _rows(split: Split) -> int:
    return min(CLASSES, split.n_classes)


def _font() -> FreeTypeFont | ImageFont:
    """DejaVu Sans where matplotlib has it, for class names in any script."""
    import matplotlib
    from PIL import ImageFont as fonts

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return fonts.truetype(str(path), 11) if path.is_file() else fonts.load_default()

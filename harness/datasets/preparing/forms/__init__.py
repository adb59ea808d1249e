"""The forms in which people have a dataset. Each is recognised by what a source holds, and read image by image.

A form is a function of a source and what is wanted; it returns a ``Reading``, or None where the source has another
form. It reads no image until the reading is iterated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.datasets.preparing.sources.archives import Source

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.data import SplitName
    from harness.datasets.preparing.classes import ClassList
    from harness.datasets.preparing.sources.files import File


@dataclass(frozen=True)
class FormRequest:
    """What a form is asked for."""

    dataset: str
    classes: ClassList
    image_size: int
    channels: int
    scratch: Path  # for what must be unpacked; removed in the end


class Item(NamedTuple):
    """An image on its way. ``key`` names its class, or numbers it where the source has no names."""

    split: SplitName | None  # where the source puts it; None where the source knows no splits
    key: str | int
    image: File | bytes | memoryview | np.ndarray  # encoded, or (H, W, C) uint8
    where: str  # for messages


@dataclass(frozen=True)
class Reading:
    """A source that was recognised."""

    form: str  # in words, for people and for dataset.json
    images: int  # how many items come
    items: Iterable[Item]
    arrays: bool = False  # every image comes as an array, whose order of channels nothing but the user can tell
    resize: bool = False  # images of any size are welcome, and resized
    invert: bool = False  # black strokes on white become white on black
    notes: tuple[str, ...] = ()  # what every table must say: "17 files left out …"
    remarks: tuple[str, ...] = ()  # what the user should know: "2 classes that are not in the split were left out"


Form = Callable[[Source, FormRequest], Reading | None]

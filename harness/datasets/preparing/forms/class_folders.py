"""A folder a class: CIFAR-FS as its authors ship it, ImageNet by synset, Omniglot, CUB, and anyone's own images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from harness.common.text import shortened, shown
from harness.datasets.preparing.forms import Form, FormRequest, Item, Reading
from harness.datasets.preparing.sources.images import SUFFIXES

if TYPE_CHECKING:
    from harness.datasets.preparing.classes import ListedClass
    from harness.datasets.preparing.sources.archives import Source
    from harness.datasets.preparing.sources.files import File

Place = tuple[str, str]  # the folder above, the class folder


def class_folders(title: str, depth: int = 1, resize: bool = True, invert: bool = False) -> Form:
    """The form ``title``: images in folders that bear a class's name.

    A class that lies in several places (ILSVRC has train/ and val/) is taken from the one with most images.

    Args:
        depth: how many folders name the class: 2 for ``Latin/character01``.
        resize: False where the published images have the size that is wanted.
        invert: black strokes on white become white on black.
    """

    def recognise(source: Source, request: FormRequest) -> Reading | None:
        places = places_of_images(source, depth)
        chosen: dict[ListedClass, tuple[str, str]] = {}
        for (parent, folder), files in places.items():
            listed = request.classes.named(folder)
            if listed is not None and (listed not in chosen or len(files) > len(places[chosen[listed]])):
                chosen[listed] = (parent, folder)
        if not chosen:
            return None
        parents = Counter(parent for parent, _ in chosen.values())
        others = [folder for parent, folder in places if parent in parents and request.classes.named(folder) is None]
        remark = f"{len(others)} folders that the split does not list were left out"
        return Reading(
            form=title,
            images=sum(len(places[place]) for place in chosen.values()),
            items=_items({listed: places[place] for listed, place in chosen.items()}),
            resize=resize,
            invert=invert,
            notes=files_left_out(source, depth, set(chosen.values())),
            remarks=(f"{remark}, {shown(others[0])} first",) if others else (),
        )

    return recognise


def places_of_images(source: Source, depth: int) -> dict[Place, list[File]]:
    """The image files by (folder above, class folder)."""
    places: defaultdict[Place, list[File]] = defaultdict(list)
    for name, file in source.files.items():
        place = _place(name, depth)
        if place is not None and name.lower().endswith(SUFFIXES):
            places[place].append(file)
    return places


def files_left_out(source: Source, depth: int, folders: Collection[Place]) -> tuple[str, ...]:
    """What every table must say of the files in class folders that no image format here has: a note, or none."""
    others = [name.rpartition("/")[2] for name in source.files if _place(name, depth) in folders]
    counts = Counter(_suffix(name) for name in others if not name.lower().endswith(SUFFIXES))
    if not counts:
        return ()
    by_suffix = ", ".join(f"{number:,} {suffix}" for suffix, number in counts.most_common(5))
    more = ", …" if len(counts) > 5 else ""
    return (f"{counts.total():,} files left out that are no images in a format that is read: {by_suffix}{more}",)


def _place(name: str, depth: int) -> Place | None:
    parts = name.split("/")
    return ("/".join(parts[: -1 - depth]), "/".join(parts[-1 - depth : -1])) if len(parts) > depth else None


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return f".{shortened(suffix.lower(), 12)}" if dot else "without a suffix"


def _items(files: dict[ListedClass, list[File]]) -> Iterator[Item]:
    for listed, images in files.items():
        for image in images:
            yield Item(None, listed.name, image, image.name)

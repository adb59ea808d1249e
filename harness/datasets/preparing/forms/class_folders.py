"""A folder a class: CIFAR-FS as its authors ship it, ImageNet by synset, Omniglot, CUB, and anyone's own images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from harness.datasets.preparing.classes import ListedClass
from harness.datasets.preparing.forms import Form, FormRequest, Item, Reading
from harness.datasets.preparing.sources.archives import Source
from harness.datasets.preparing.sources.files import File
from harness.datasets.preparing.sources.images import SUFFIXES


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
        remark = f"{len(others)} folders that the split does not list were left out, {others[:1]} first"
        return Reading(
            form=title,
            images=sum(len(places[place]) for place in chosen.values()),
            items=_items({listed: places[place] for listed, place in chosen.items()}),
            resize=resize,
            invert=invert,
            remarks=(remark,) if others else (),
        )

    return recognise


def places_of_images(source: Source, depth: int) -> dict[tuple[str, str], list[File]]:
    """The image files by (folder above, class folder)."""
    places: defaultdict[tuple[str, str], list[File]] = defaultdict(list)
    for name, file in source.files.items():
        parts = name.split("/")
        if len(parts) > depth and name.lower().endswith(SUFFIXES):
            places["/".join(parts[: -1 - depth]), "/".join(parts[-1 - depth : -1])].append(file)
    return places


def _items(files: dict[ListedClass, list[File]]) -> Iterator[Item]:
    for listed, images in files.items():
        for image in images:
            yield Item(None, listed.name, image, image.name)

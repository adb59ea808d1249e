"""Images whose file names begin with their class: ``n0153282900000005.jpg`` shows the synset n01532829."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.common.text import shown
from harness.datasets.preparing.forms import Form, FormRequest, Item, Reading
from harness.datasets.preparing.sources.images import SUFFIXES

if TYPE_CHECKING:
    from harness.datasets.preparing.classes import ListedClass
    from harness.datasets.preparing.sources.archives import Source
    from harness.datasets.preparing.sources.files import File

SYNSET = r"n\d{8}"  # WordNet's offset of a noun, as ImageNet names its classes


def named_images(title: str, class_name: str = SYNSET) -> Form:
    """The form ``title``: images in any folders, each named by its class and what tells it from the others.

    A class whose images lie in several folders is taken from the one with most of them, so that a second copy counts
    once.

    Args:
        class_name: a regular expression of the start of a file name that is its class.
    """
    pattern = re.compile(class_name)

    def recognise(source: Source, request: FormRequest) -> Reading | None:
        places: dict[ListedClass, dict[str, list[File]]] = {}
        others: list[str] = []
        for path, file in source.files.items():
            folder, _, name = path.rpartition("/")
            if name.lower().endswith(SUFFIXES):
                start = pattern.match(name)
                listed = request.classes.named(start.group()) if start else None
                if listed is None:
                    others.append(name)
                else:
                    places.setdefault(listed, defaultdict(list))[folder].append(file)
        if not places:
            return None
        images = {listed: max(folders.values(), key=len) for listed, folders in places.items()}
        remark = f"{len(others):,} images whose names begin with no class of the split were left out"
        return Reading(
            form=title,
            images=sum(map(len, images.values())),
            items=_items(images),
            resize=True,
            remarks=(f"{remark}, {shown(others[0])} first",) if others else (),
        )

    return recognise


def _items(images: dict[ListedClass, list[File]]) -> Iterator[Item]:
    for listed, files in images.items():
        for file in files:
            yield Item(None, listed.name, file, file.name)

"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

Split by characters as Vinyals et al. did (1,200 to train on and 423 novel; 172 of the former for validation): the
ranges of splits/Omniglot.csv. Images are resized to 28×28 and inverted, so that strokes are white on black and what
an augmentation pads looks like paper.

Rotation is no self-supervision here, so the spec says that it does not keep the class. First, the variant usual in
papers makes three more classes of each character by turning it by 90°, 180° and 270°: there the turned image *is*
another class, and a loss that gives all four turns one label contradicts the labels. Second, even without that
variant, alphabets such as Inuktitut, Ojibwe and Blackfoot write different syllables as turns of one shape. The
harness makes no classes by rotation.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.citations import Citation
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec

if TYPE_CHECKING:
    from harness.datasets.preparing.classes import ClassList
    from harness.datasets.preparing.prepare import PrepareRequest

ADDRESS = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"


def _open(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(OMNIGLOT, request)


def _prepare(request: PrepareRequest) -> Path:
    from harness.datasets.preparing.downloads import Remote
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.prepare import prepare_dataset

    forms = (class_folders("a folder a character in a folder an alphabet", depth=2, invert=True),)
    remotes = (
        Remote(f"{ADDRESS}/images_background.zip", "68d2efa1b9178cc56df9314c21c6e718"),
        Remote(f"{ADDRESS}/images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811"),
    )
    return prepare_dataset(OMNIGLOT, _characters(), forms, request, remotes)


def _characters() -> ClassList:
    from harness.datasets.preparing.classes import ClassList, ListedClass, rows

    return ClassList(
        ListedClass(row["split"], f"{row['alphabet']}/character{number:02d}", images=20)  # type: ignore[arg-type]
        for row in rows("Omniglot")
        for number in range(int(row["first"]), int(row["last"]) + 1)
    )


OMNIGLOT = DatasetSpec(
    name="Omniglot",
    title="handwritten characters of 50 alphabets at 28×28: 1,028/172/423 classes of 20 images, grey",
    image_size=28,
    open=_open,
    prepare=_prepare,
    channels=1,
    mean=(0.08,),  # rounded, of inverted images: strokes cover about a twelfth of the paper
    std=(0.2,),
    augmentation=Augmentation(crop_padding=2, rotation_keeps_class=False),
    counts={"train": (1028, 20_560), "val": (172, 3_440), "test": (423, 8_460)},
    licence="MIT (https://github.com/brendenlake/omniglot)",
    citation=Citation(
        "lake2015human",
        "Lake, Brenden M. and Salakhutdinov, Ruslan and Tenenbaum, Joshua B.",
        "Human-level concept learning through probabilistic program induction",
        2015,
        "Science",
        "article",
    ),
    obtain=f"Get images_background.zip and images_evaluation.zip from {ADDRESS}, or let --download fetch them.",
)

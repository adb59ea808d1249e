"""CUB-200-2011: photographs of 200 bird species, at 84×84 pixels.

Split as Chen et al. (A closer look at few-shot classification, ICLR 2019) do: of the species in order, every second
is a base class, and the others are in turn validation and novel classes. Whole photographs, not cropped to the
bounding box, resized with the sides apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.citations import Citation
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec

if TYPE_CHECKING:
    from harness.datasets.preparing.prepare import PrepareRequest

ADDRESS = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"


def _open(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(CUB, request)


def _prepare(request: PrepareRequest) -> Path:
    from harness.datasets.preparing.classes import published
    from harness.datasets.preparing.downloads import Remote
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.prepare import prepare_dataset

    forms = (class_folders("CUB-200-2011's images, a folder a species"),)
    remotes = (Remote(ADDRESS, "97eceeb196236b17998738112f37df78"),)
    return prepare_dataset(CUB, published("CUB-200-2011"), forms, request, remotes)


CUB = DatasetSpec(
    name="CUB-200-2011",
    title="photographs of 200 bird species at 84×84: 100/50/50 classes, 11,788 images",
    image_size=84,
    open=_open,
    prepare=_prepare,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    augmentation=Augmentation(crop_padding=8, jitter=0.4, flip=True),
    counts={"train": (100, 5_885), "val": (50, 2_950), "test": (50, 2_953)},
    licence="non-commercial research and education; the photographers keep their rights",
    citation=Citation(
        "wah2011caltech",
        ("Wah, Catherine and Branson, Steve and Welinder, Peter and Perona, Pietro and Belongie, Serge"),
        "The Caltech-UCSD Birds-200-2011 Dataset",
        2011,
        "California Institute of Technology",
        "techreport",
    ),
    obtain=f"Get CUB_200_2011.tgz (1.1 GB) from {ADDRESS}, or let --download fetch it.",
)

"""Datasets prepared from the forms that people have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract.data import DataRequest, Dataset, DatasetSpec
from harness.datasets.prepared import store
from harness.datasets.preparing.forms.class_folders import class_folders as read_class_folders
from harness.datasets.preparing.forms.listed_images import listed_images as read_listed_images
from harness.datasets.preparing.forms.named_images import named_images as read_named_images
from harness.datasets.preparing.forms.pickled_arrays import cifar100_python as read_cifar100_python
from harness.datasets.preparing.forms.pickled_arrays import split_pickles as read_split_pickles
from harness.datasets.preparing.forms.tiered import npz_arrays as read_npz_arrays
from harness.datasets.preparing.forms.tiered import png_pickles as read_png_pickles
from harness.datasets.preparing.prepare import PrepareRequest, prepare_dataset
from tests.helpers import data as make
from tests.helpers.data import SMALL

if TYPE_CHECKING:
    from harness.datasets.preparing.classes import ClassList
    from harness.datasets.preparing.forms import Form

FORMS: tuple[Form, ...] = (
    read_cifar100_python,
    read_split_pickles("pickles", ["CIFAR_FS_{}.pickle", "miniImageNet_category_split_{}.pickle", "{}.pickle"]),
    read_split_pickles("cache", ["mini-imagenet-cache-{}.pkl"], data="image_data"),
    read_png_pickles,
    read_npz_arrays,
    read_listed_images,
    read_class_folders("folders", resize=False),
    read_named_images("named images", r"n\d\d"),
)


def _never(request: DataRequest) -> Dataset:
    raise AssertionError("tests open the folder itself")


def spec_of(size: int, name: str = "test-data") -> DatasetSpec:
    return DatasetSpec(name, "test", size, _never, obtain="Get it there.")


def prepared(spec: DatasetSpec, classes: ClassList, source: Path, root: Path, **more: Any) -> Dataset:
    folder = prepare_dataset(spec, classes, FORMS, PrepareRequest(root, source, **more))
    return store.open_folder(spec, folder)


def fingerprint_of(images: make.Images, tmp_path: Path) -> str:
    """The fingerprint by way of plain class folders."""
    folder = tmp_path / "plain"
    folder.mkdir()
    make.class_folders(folder, images, SMALL)
    return prepared(spec_of(8), SMALL, folder, tmp_path / "plain-root").fingerprint

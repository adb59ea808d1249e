"""A reader of each form of files that is attacked with hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.datasets.preparing.forms.class_folders import class_folders
from harness.datasets.preparing.forms.listed_images import listed_images
from harness.datasets.preparing.forms.pickled_arrays import cifar100_python, split_pickles
from harness.datasets.preparing.forms.tiered import npz_arrays, png_pickles

if TYPE_CHECKING:
    from harness.datasets.preparing.forms import Form

READERS: tuple[Form, ...] = (
    cifar100_python,
    split_pickles("pickles", ["{}.pickle"]),
    split_pickles("cache", ["mini-imagenet-cache-{}.pkl"], data="image_data"),
    png_pickles,
    npz_arrays,
    listed_images,
    class_folders("folders"),
)

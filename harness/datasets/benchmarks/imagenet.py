"""miniImageNet and tieredImageNet: classes of ImageNet at 84×84 pixels, named by their synsets.

Sources with ImageNet's own images (a folder a synset) are resized as the published versions were: to 84×84 with the
sides apart, here with Pillow's antialiased bicubic filter. The published pixels came from other libraries, so such a
copy has a fingerprint of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.citations import Citation
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec

if TYPE_CHECKING:
    from harness.datasets.preparing.prepare import PrepareRequest

MEAN = (120.39586422 / 255, 115.59361427 / 255, 104.54012653 / 255)
STD = (70.68188272 / 255, 68.27635443 / 255, 72.54505529 / 255)
AUGMENTATION = Augmentation(crop_padding=8, jitter=0.4, flip=True)
LICENCE = "ImageNet's terms of access: non-commercial research and education (https://image-net.org/download)"
ZENODO = "https://zenodo.org/record/7978538"


def _open_mini(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(MINI, request)


def _open_tiered(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(TIERED, request)


def _prepare_mini(request: PrepareRequest) -> Path:
    from harness.datasets.preparing.classes import published
    from harness.datasets.preparing.downloads import zenodo
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.forms.listed_images import listed_images
    from harness.datasets.preparing.forms.named_images import named_images
    from harness.datasets.preparing.forms.pickled_arrays import split_pickles
    from harness.datasets.preparing.prepare import prepare_dataset

    forms = (
        split_pickles("mini-imagenet-cache pickles", ["mini-imagenet-cache-{}.pkl"], data="image_data"),
        split_pickles(
            "miniImageNet_category_split pickles, as RFS uses them", ["miniImageNet_category_split_{}.pickle"]
        ),
        listed_images,
        class_folders("a folder of images a synset"),
        named_images("images whose names begin with their synset"),
    )
    remotes = zenodo("7978538", [f"mini-imagenet-cache-{split}.pkl" for split in ("train", "validation", "test")])
    return prepare_dataset(MINI, published("miniImageNet", 600), forms, request, remotes)


def _prepare_tiered(request: PrepareRequest) -> Path:
    from harness.datasets.preparing.classes import published
    from harness.datasets.preparing.downloads import zenodo
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.forms.named_images import named_images
    from harness.datasets.preparing.forms.tiered import npz_arrays, png_pickles
    from harness.datasets.preparing.prepare import prepare_dataset

    forms = (
        png_pickles,
        npz_arrays,
        class_folders("a folder of images a synset"),
        named_images("images whose names begin with their synset"),
    )
    files = [f"{split}_{part}.pkl" for split in ("train", "val", "test") for part in ("labels", "images_png")]
    names = [f"tiered-imagenet-{file}" for file in ("class_names.txt", "synsets.txt", *files)]
    return prepare_dataset(TIERED, published("tieredImageNet"), forms, request, zenodo("7978538", names))


MINI = DatasetSpec(
    name="miniImageNet",
    title="ImageNet images at 84×84, split of Ravi and Larochelle: 64/16/20 classes of 600 images",
    image_size=84,
    open=_open_mini,
    prepare=_prepare_mini,
    mean=MEAN,
    std=STD,
    augmentation=AUGMENTATION,
    counts={"train": (64, 38_400), "val": (16, 9_600), "test": (20, 12_000)},
    licence=LICENCE,
    citation=(
        Citation(
            "vinyals2016matching",
            ("Vinyals, Oriol and Blundell, Charles and Lillicrap, Timothy and Kavukcuoglu, Koray and Wierstra, Daan"),
            "Matching Networks for One Shot Learning",
            2016,
            "Advances in Neural Information Processing Systems",
        ),
        Citation(
            "ravi2017optimization",
            "Ravi, Sachin and Larochelle, Hugo",
            "Optimization as a Model for Few-Shot Learning",
            2017,
            "International Conference on Learning Representations",
        ),
    ),
    obtain=f"Get mini-imagenet-cache-{{train,validation,test}}.pkl from {ZENODO}, or let --download fetch them.",
)

TIERED = DatasetSpec(
    name="tieredImageNet",
    title="ImageNet images at 84×84, split by category: 351/97/160 classes, 779,165 images",
    image_size=84,
    open=_open_tiered,
    prepare=_prepare_tiered,
    mean=MEAN,
    std=STD,
    augmentation=AUGMENTATION,
    counts={"train": (351, 448_695), "val": (97, 124_261), "test": (160, 206_209)},
    licence=LICENCE,
    citation=Citation(
        "ren2018meta",
        (
            "Ren, Mengye and Triantafillou, Eleni and Ravi, Sachin and Snell, Jake and Swersky, Kevin "
            "and Tenenbaum, Joshua B. and Larochelle, Hugo and Zemel, Richard S."
        ),
        "Meta-Learning for Semi-Supervised Few-Shot Classification",
        2018,
        "International Conference on Learning Representations",
    ),
    obtain=(
        "Get tiered-imagenet-{train,val,test}_images_png.pkl, …_labels.pkl, -synsets.txt and -class_names.txt "
        f"(12 GB) from {ZENODO}, or let --download fetch them."
    ),
)

"""CIFAR-FS and FC100: the 60,000 images of CIFAR-100, each with its own split of the 100 classes.

Both are recognised by their pixels where a source only numbers its classes: splits/CIFAR-100.csv has the digest of
each class's 600 images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.citations import Citation
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec

if TYPE_CHECKING:
    from harness.datasets.preparing.prepare import PrepareRequest

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
AUGMENTATION = Augmentation(crop_padding=4, jitter=0.4, flip=True)
ADDRESS = "https://www.cs.toronto.edu/~kriz"
LICENCE = "none stated by the authors; free to download for research"


def _open_cifar_fs(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(CIFAR_FS, request)


def _open_fc100(request: DataRequest) -> Dataset:
    from harness.datasets.prepared.opening import open_prepared

    return open_prepared(FC100, request)


def _prepare_cifar_fs(request: PrepareRequest) -> Path:
    return _prepare(CIFAR_FS, "CIFAR_FS", request)


def _prepare_fc100(request: PrepareRequest) -> Path:
    return _prepare(FC100, "FC100", request)


def _prepare(spec: DatasetSpec, prefix: str, request: PrepareRequest) -> Path:
    from harness.datasets.preparing.classes import published
    from harness.datasets.preparing.downloads import Remote
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.forms.pickled_arrays import cifar100_python, split_pickles
    from harness.datasets.preparing.prepare import prepare_dataset

    forms = (
        cifar100_python,
        split_pickles(f"{prefix} pickles, as MetaOptNet and RFS use them", [f"{prefix}_{{}}.pickle", "{}.pickle"]),
        class_folders("CIFAR-100 as a folder of PNG files a class", resize=False),
    )
    remotes = (Remote(f"{ADDRESS}/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),)
    return prepare_dataset(spec, published(spec.name, 600, "CIFAR-100"), forms, request, remotes)


CIFAR_FS = DatasetSpec(
    name="CIFAR-FS",
    title="CIFAR-100 split at random: 64/16/20 classes of 600 natural images",
    image_size=32,
    open=_open_cifar_fs,
    prepare=_prepare_cifar_fs,
    mean=MEAN,
    std=STD,
    augmentation=AUGMENTATION,
    counts={"train": (64, 38_400), "val": (16, 9_600), "test": (20, 12_000)},
    licence=LICENCE,
    citation=Citation(
        "bertinetto2019meta",
        "Bertinetto, Luca and Henriques, João F. and Torr, Philip H. S. and Vedaldi, Andrea",
        "Meta-learning with differentiable closed-form solvers",
        2019,
        "International Conference on Learning Representations",
    ),
    obtain=(
        "Get cifar100.zip from https://zenodo.org/record/7978538 or cifar-100-python.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html, or let --download fetch it."
    ),
)

FC100 = DatasetSpec(
    name="FC100",
    title="CIFAR-100 split by superclass: 60/20/20 classes of 600 natural images",
    image_size=32,
    open=_open_fc100,
    prepare=_prepare_fc100,
    mean=MEAN,
    std=STD,
    augmentation=AUGMENTATION,
    counts={"train": (60, 36_000), "val": (20, 12_000), "test": (20, 12_000)},
    licence=LICENCE,
    citation=Citation(
        "oreshkin2018tadam",
        "Oreshkin, Boris N. and Rodríguez López, Pau and Lacoste, Alexandre",
        "TADAM: Task dependent adaptive metric for improved few-shot learning",
        2018,
        "Advances in Neural Information Processing Systems",
    ),
    obtain=(
        "Get fc100.zip from https://zenodo.org/record/7978538 or cifar-100-python.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html, or let --download fetch it."
    ),
)

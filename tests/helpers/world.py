"""What documents take for granted: a folder with data, photographs, weights of other people, and finished benches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import harness
from harness.catalogue.catalogue import Catalogue
from harness.cli.main import main
from harness.contract.data import Dataset, Split
from harness.datasets.preparing.classes import published
from tests.conftest import make_split
from tests.helpers.data import cifar100_python, make_images, packed
from tests.helpers.networks import RfsResNet12

SMALL = {"budget": 64, "episodes": 12, "queries": 3, "device": "cpu", "precision": "32", "threads": 1}
HERE = {**SMALL, "views": 1, "executor": "inline", "progress": False}  # of a bench from Python, in this process


@contextmanager
def living_in(folder: Path) -> Iterator[None]:
    """Fill an empty folder; meanwhile its data and weights are those of the machine, other datasets small stand-ins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HARNESS_DATA", str(folder / "data"))
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        patch.setattr(Catalogue, "discover", with_small_datasets(Catalogue.discover))
        _write_data(folder)
        _write_weights(folder)
        _write_benches()
        yield


def with_small_datasets(discover: Callable[[], Catalogue]) -> Callable[[], Catalogue]:
    """What is installed, in which every dataset but CIFAR-FS and a folder's opens as stripes of its size."""

    @cache
    def discovered(installed: tuple[EntryPoint, ...]) -> Catalogue:
        catalogue = discover()
        for name, spec in catalogue.datasets.items():
            if name != "CIFAR-FS" and not spec.takes_argument:
                catalogue.datasets[name] = replace(
                    spec, open=lambda request, spec=spec: Dataset(spec, *_stripes(spec.image_size))
                )
        return catalogue

    return lambda: discovered(tuple(entry_points(group="harness")))


@cache
def _stripes(size: int) -> list[Split]:
    return [make_split(name, n, 20, size, at) for name, n, at in (("train", 30, 0), ("val", 5, 50), ("test", 5, 60))]


def _write_data(folder: Path) -> None:
    classes = published("CIFAR-FS", 600, "CIFAR-100")
    images = make_images(classes, 20, 32)
    images |= {each.name: images[each.name][:13] for each in classes.classes if each.split != "train"}
    (folder / "cifar-fs").mkdir()
    cifar100_python(folder / "cifar-fs", images, classes)
    packed(folder / "cifar-fs", ".zip")
    assert main(["data", "prepare", "CIFAR-FS", "--source", "cifar-fs.zip"]) == 0
    for bird in ("heron", "wren", *(f"bird {n}" for n in range(23))):
        _draw(folder / "photos" / bird, "1.jpg", "2.png", *(f"{n}.jpg" for n in range(3, 11)))
    for split in ("train", "val", "test"):
        for n in range(5):
            _draw(folder / "divided" / split / f"{split} {n}", *(f"{n}.jpg" for n in range(10)))
    _draw(folder / "examples" / "robin", "1.jpg")
    _draw(folder / "examples" / "finch", "1.jpg", "2.jpg")
    _draw(folder / "new", "a.jpg", "b.jpg")


def _draw(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng([*str(folder.name).encode()])
    for name in names:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / name)


def _write_weights(folder: Path) -> None:
    """A checkpoint of RFS's code, and weights where timm keeps those that it has fetched."""
    import timm

    state = {f"module.{name}": value for name, value in RfsResNet12().state_dict().items()}
    torch.save({"epoch": 90, "model": state}, folder / "best.pth")
    (folder / "ours.pth").symlink_to("best.pth")
    cached = folder / "torch" / "hub" / "checkpoints" / "resnet18_a1_0-d63eafa0.pth"
    cached.parent.mkdir(parents=True)
    torch.save(timm.create_model("resnet18").state_dict(), cached)


def _write_benches() -> None:
    """Two benches in ``runs``, the first one in ``other-runs`` too; a row and features for other people."""
    harness.run_bench(["rfs"], "CIFAR-FS", rows=["pixels", "rfs/simple"], seeds=range(2), **HERE)
    shutil.copytree("runs", "other-runs")
    rows = ["pixels", "untrained", "rfs/simple", "skd/gen0", "skd/gen1", "mine"]
    harness.run_bench(["rfs", "skd", "mine=simpleshot"], "CIFAR-FS", rows=rows, seeds=range(2), **HERE)
    assert main(["runs", "export", "theirs.json", "--row", "rfs/simple"]) == 0
    for name in ("clip", "dino"):
        assert main(["export", "features", "runs", "--row", "rfs/simple", "--output", f"{name}.npz"]) == 0

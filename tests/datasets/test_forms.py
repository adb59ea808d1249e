"""Every form of the same images gives the same prepared dataset; each reader tells what is wrong with a file."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.datasets.benchmarks.imagenet import MINI
from harness.datasets.prepared import store
from harness.datasets.preparing.classes import ClassList, ListedClass, published
from harness.datasets.preparing.prepare import PrepareRequest
from tests.helpers import data as make
from tests.helpers.data import SMALL, left_behind, make_images, packed
from tests.helpers.forms import fingerprint_of, prepared, spec_of

Build = Callable[[Path, make.Images, ClassList], None]


BUILDERS: dict[str, Build] = {
    "class folders": make.class_folders,
    "split pickles": make.split_pickles,
    "bare split pickles": lambda *a: make.split_pickles(*a, pattern="{}.pickle"),
    "RFS miniImageNet": lambda *a: make.split_pickles(*a, pattern="miniImageNet_category_split_{}.pickle"),
    "mini cache": make.mini_cache,
    "mini cache, protocol 4": lambda *a: make.mini_cache(*a, protocol=4),
    "listed images": make.listed_images,
    "named images": make.named_images,
    "PNG pickles": make.png_pickles,
    "PNG pickles of bytes": lambda *a: make.png_pickles(*a, item=bytes),
    "PNG pickles of columns": lambda *a: make.png_pickles(*a, item=lambda b: np.frombuffer(b, np.uint8)[:, None]),
    "npz": make.npz_arrays,
    "npz, packed": lambda *a: make.npz_arrays(*a, packed=True),
}


@pytest.mark.parametrize("ending", ["", ".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("form", BUILDERS)
def test_every_form_has_the_fingerprint_of_the_images(form: str, ending: str, tmp_path: Path) -> None:
    images = make_images(SMALL, 3, 8)
    folder = tmp_path / "source"
    folder.mkdir()
    BUILDERS[form](folder, images, SMALL)
    dataset = prepared(spec_of(8), SMALL, packed(folder, ending) if ending else folder, tmp_path / "root")
    assert dataset.fingerprint == fingerprint_of(images, tmp_path)
    assert dataset.notes == ()
    for split in dataset.splits:
        for label, name in enumerate(split.class_names):
            rows = {row.tobytes() for row in split.images[split.labels == label]}
            assert rows == {row.tobytes() for row in images[name]}


@pytest.mark.parametrize("protocol", [2, 4])
def test_official_cifar100_is_split_by_the_list_and_turned_to_rows_of_pixels(protocol: int, tmp_path: Path) -> None:
    classes = make.cifar_classes()
    images = make_images(classes, 2, 32)
    make.cifar100_python(tmp_path, images, classes, protocol)
    dataset = prepared(spec_of(32), classes, tmp_path, tmp_path / "root")
    assert [split.n_classes for split in dataset.splits] == [64, 16, 20]
    assert dataset.test is not None
    label = dataset.test.class_names.index("worm")
    found = {row.tobytes() for row in dataset.test.images[dataset.test.labels == label]}
    assert found == {row.tobytes() for row in images["worm"]}


def test_python_2_pickles_are_read(tmp_path: Path) -> None:
    images = make_images(SMALL, 2, 8)
    for split in ("train", "val", "test"):
        names = [each.name for each in SMALL.of(split)]  # type: ignore[arg-type]
        labels = [label for label, name in enumerate(names) for _ in images[name]]
        table = {"data": np.concatenate([images[name] for name in names]), "labels": labels}
        (tmp_path / f"{split}.pickle").write_bytes(make.python2_pickle(table))
    assert prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root").fingerprint == fingerprint_of(images, tmp_path)


def test_classes_that_are_only_numbered_are_known_by_their_pixels(tmp_path: Path) -> None:
    images = make_images(SMALL, 4, 8)
    make.class_folders(tmp_path, images, SMALL)
    first = prepared(spec_of(8), SMALL, tmp_path, tmp_path / "first")
    records = store.read_index(tmp_path / "first" / "test-data").splits
    digests = {each.name: each.sha256 for record in records.values() for each in record.classes}
    known = ClassList(ListedClass(each.split, each.name, sha256=digests[each.name]) for each in SMALL.classes)
    source = tmp_path / "source"
    source.mkdir()
    data = np.concatenate([images["n02"], images["n01"]])  # numbered against the sorted order
    (source / "train.pickle").write_bytes(pickle.dumps({"data": data, "labels": [0] * 4 + [1] * 4}, protocol=2))
    second = prepared(spec_of(8), known, source, tmp_path / "second")
    assert second.train is not None
    assert first.train is not None
    assert second.train.fingerprint == first.train.fingerprint


def test_real_class_lists_have_the_published_counts() -> None:
    counts = {"CIFAR-FS": (64, 16, 20), "FC100": (60, 20, 20), "miniImageNet": (64, 16, 20)}
    counts |= {"tieredImageNet": (351, 97, 160), "CUB-200-2011": (100, 50, 50)}
    for name, expected in counts.items():
        found = tuple(len(published(name).of(split)) for split in ("train", "val", "test"))
        assert found == expected, name
        names = [each.name for each in published(name).classes]
        assert len(set(names)) == len(names)


def test_titles_that_two_synsets_share_are_told_apart_by_the_split(tmp_path: Path) -> None:
    images = make_images(SMALL, 2, 8)
    make.png_pickles(tmp_path, images, SMALL)  # both n03 and n04 are called crane
    dataset = prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root")
    assert [split.class_names for split in dataset.splits] == [("n01", "n02"), ("n03",), ("n04",)]


ARRAYS = ("split pickles", "bare split pickles", "RFS miniImageNet", "mini cache", "mini cache, protocol 4")
ARRAYS += ("npz", "npz, packed")


@pytest.mark.parametrize("form", ARRAYS)
def test_swapped_channels_are_put_right_on_request_in_every_form_of_arrays(form: str, tmp_path: Path) -> None:
    images = make_images(SMALL, 2, 8)
    BUILDERS[form](tmp_path, {name: rows[..., ::-1] for name, rows in images.items()}, SMALL)
    dataset = prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", swap_channels=True)
    assert dataset.fingerprint == fingerprint_of(images, tmp_path)
    assert "blue, green, red" in store.read_index(tmp_path / "root" / "test-data").origin["channels"]


@pytest.mark.parametrize("form", sorted(BUILDERS.keys() - set(ARRAYS)))
def test_swapping_the_channels_of_image_files_is_refused_in_one_line(form: str, tmp_path: Path) -> None:
    BUILDERS[form](tmp_path, make_images(SMALL, 2, 8), SMALL)
    with pytest.raises(DataError, match=r"--bgr is for arrays, in pickles and \.npz files; here are ") as caught:
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", swap_channels=True)
    assert "\n" not in str(caught.value)
    assert left_behind(tmp_path / "root") == []


def test_official_cifar100_is_swapped_too(tmp_path: Path) -> None:
    classes = make.cifar_classes()
    images = make_images(classes, 2, 32)
    make.cifar100_python(tmp_path, {name: rows[..., ::-1] for name, rows in images.items()}, classes)
    dataset = prepared(spec_of(32), classes, tmp_path, tmp_path / "root", swap_channels=True)
    assert dataset.test is not None
    label = dataset.test.class_names.index("worm")
    found = {row.tobytes() for row in dataset.test.images[dataset.test.labels == label]}
    assert found == {row.tobytes() for row in images["worm"]}


def test_swapping_what_is_prepared_unswapped_is_not_ignored(tmp_path: Path) -> None:
    make.npz_arrays(tmp_path, make_images(SMALL, 2, 8), SMALL)
    prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root")
    with pytest.raises(DataError, match="without --bgr: add --replace"):
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", swap_channels=True)
    prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", swap_channels=True, replace=True)
    prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", swap_channels=True)


# ── images named by their class ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["", ".zip", ".tar"])
@pytest.mark.parametrize("tables", [True, False])
def test_mini_imagenet_is_one_folder_of_images_named_by_synset(tables: bool, ending: str, tmp_path: Path) -> None:
    classes = published("miniImageNet", 600)
    images = make_images(classes, 2, 84)
    source = tmp_path / "source"
    source.mkdir()
    (make.listed_images if tables else make.named_images)(source, images, classes)
    assert MINI.prepare is not None
    lines: list[str] = []
    MINI.prepare(PrepareRequest(tmp_path / "root", packed(source, ending) if ending else source, say=lines.append))
    dataset = store.open_folder(MINI, tmp_path / "root" / "miniImageNet")
    assert [(split.n_classes, len(split)) for split in dataset.splits] == [(64, 128), (16, 32), (20, 40)]
    for split in dataset.splits:
        assert set(split.class_names) == {each.name for each in classes.of(split.name)}
        for label, name in enumerate(split.class_names):
            rows = {row.tobytes() for row in split.images[split.labels == label]}
            assert rows == {row.tobytes() for row in images[name]}
    assert dataset.notes == ("partial data (200 of 60,000 images)",)
    assert any("has 2 images, published are 600" in line for line in lines)


def test_images_beside_an_archive_of_images_are_read_from_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    images = make_images(SMALL, 2, 8)
    make.named_images(source, images, SMALL)
    packed(source / "images", ".tar")
    shutil.rmtree(source / "images")
    assert prepared(spec_of(8), SMALL, source, tmp_path / "root").fingerprint == fingerprint_of(images, tmp_path)


def test_a_second_copy_of_a_named_image_counts_once_and_other_images_are_told(tmp_path: Path) -> None:
    source, images, lines = tmp_path / "source", make_images(SMALL, 2, 8), []
    source.mkdir()
    make.named_images(source, images, SMALL)
    (source / "thumbnails").mkdir()
    shutil.copy(source / "images" / "n0100000000.png", source / "thumbnails")
    shutil.copy(source / "images" / "n0100000000.png", source / "thumbnails" / "n99x.png")
    dataset = prepared(spec_of(8), SMALL, source, tmp_path / "root", say=lines.append)
    assert dataset.fingerprint == fingerprint_of(images, tmp_path)
    assert any("1 images whose names begin with no class of the split were left out, 'n99x.png'" in x for x in lines)

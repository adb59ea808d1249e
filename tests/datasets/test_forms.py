"""Every form of the same images gives the same prepared dataset; each reader tells what is wrong with a file."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.contract.data import DataRequest, Dataset, DatasetSpec
from harness.datasets.benchmarks.imagenet import MINI
from harness.datasets.prepared import store
from harness.datasets.preparing.classes import ClassList, ListedClass, published
from harness.datasets.preparing.forms.class_folders import class_folders as read_class_folders
from harness.datasets.preparing.forms.listed_images import listed_images as read_listed_images
from harness.datasets.preparing.forms.named_images import named_images as read_named_images
from harness.datasets.preparing.forms.pickled_arrays import cifar100_python as read_cifar100_python
from harness.datasets.preparing.forms.pickled_arrays import split_pickles as read_split_pickles
from harness.datasets.preparing.forms.tiered import npz_arrays as read_npz_arrays
from harness.datasets.preparing.forms.tiered import png_pickles as read_png_pickles
from harness.datasets.preparing.prepare import PrepareRequest, prepare_dataset
from tests.helpers import data as make
from tests.helpers.data import SMALL, Images, left_behind, make_images, packed

if TYPE_CHECKING:
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
Build = Callable[[Path, make.Images, ClassList], None]


def _never(request: DataRequest) -> Dataset:
    raise AssertionError("tests open the folder itself")


def spec_of(size: int, name: str = "test-data") -> DatasetSpec:
    return DatasetSpec(name, "test", size, _never, obtain="Get it there.")


def prepared(spec: DatasetSpec, classes: ClassList, source: Path, root: Path, **more: Any) -> Dataset:
    folder = prepare_dataset(spec, classes, FORMS, PrepareRequest(root, source, **more))
    return store.open_folder(spec, folder)


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
    assert dataset.fingerprint == _expected(images, tmp_path)
    assert dataset.notes == ()
    for split in dataset.splits:
        for label, name in enumerate(split.class_names):
            rows = {row.tobytes() for row in split.images[split.labels == label]}
            assert rows == {row.tobytes() for row in images[name]}


def _expected(images: make.Images, tmp_path: Path) -> str:
    """The fingerprint by way of plain class folders."""
    folder = tmp_path / "plain"
    folder.mkdir()
    make.class_folders(folder, images, SMALL)
    return prepared(spec_of(8), SMALL, folder, tmp_path / "plain-root").fingerprint


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
    assert prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root").fingerprint == _expected(images, tmp_path)


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
    assert dataset.fingerprint == _expected(images, tmp_path)
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
    assert prepared(spec_of(8), SMALL, source, tmp_path / "root").fingerprint == _expected(images, tmp_path)


def test_a_second_copy_of_a_named_image_counts_once_and_other_images_are_told(tmp_path: Path) -> None:
    source, images, lines = tmp_path / "source", make_images(SMALL, 2, 8), []
    source.mkdir()
    make.named_images(source, images, SMALL)
    (source / "thumbnails").mkdir()
    shutil.copy(source / "images" / "n0100000000.png", source / "thumbnails")
    shutil.copy(source / "images" / "n0100000000.png", source / "thumbnails" / "n99x.png")
    dataset = prepared(spec_of(8), SMALL, source, tmp_path / "root", say=lines.append)
    assert dataset.fingerprint == _expected(images, tmp_path)
    assert any("1 images whose names begin with no class of the split were left out, 'n99x.png'" in x for x in lines)


# ── damaged images ────────────────────────────────────────────────────────────────────────────────


def _damage(root: Path, per_class: int) -> Images:
    """Class folders of three images, of which the last ``per_class`` of each class are cut short."""
    images = make_images(SMALL, 3, 8)
    make.class_folders(root, images, SMALL)
    for name in images:
        for number in range(3 - per_class, 3):
            path = root / "cifar100" / "data" / name / f"{number:06d}.png"
            path.write_bytes(path.read_bytes()[:40])
    return {name: rows[: 3 - per_class] for name, rows in images.items()}


def test_damaged_images_are_all_named_at_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    _damage(source, 1)
    with pytest.raises(
        DataError, match=r"^4 images cannot be read: .*n01/000002\.png.*n02/.*n03/.*; and 1 more\. .*--skip-damaged$"
    ):
        prepared(spec_of(8), SMALL, source, tmp_path / "root")
    assert left_behind(tmp_path / "root") == []


def test_damaged_images_are_left_out_on_request_and_every_table_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    left = _damage(source, 1)
    dataset = prepared(spec_of(8), SMALL, source, tmp_path / "root", skip_damaged=True)
    assert dataset.fingerprint == _expected(left, tmp_path)
    assert dataset.notes == ("4 damaged images left out",)


def test_nothing_is_left_of_images_that_are_all_damaged(tmp_path: Path) -> None:
    source = tmp_path / "source"
    _damage(source, 3)
    with pytest.raises(DataError, match="no image is left: 12 images cannot be read"):
        prepared(spec_of(8), SMALL, source, tmp_path / "root", skip_damaged=True)


def test_an_image_of_another_size_is_no_damage_to_be_skipped(tmp_path: Path) -> None:
    make.class_folders(tmp_path, make_images(SMALL, 1, 9), SMALL)
    with pytest.raises(DataError, match="9×9 pixels, not 8×8"):
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root", skip_damaged=True)


def _labels(**change: Any) -> bytes:
    table = {"data": np.zeros((4, 8, 8, 3), np.uint8), "labels": [0, 0, 1, 1]}
    return pickle.dumps({key: value for key, value in (table | change).items() if value is not None}, protocol=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_labels(data=np.zeros((4, 9, 9, 3), np.uint8)), r"\(4, 9, 9, 3\).*uint8 \(N, \(8, 8, 3\)\)"),
        (_labels(data=np.zeros((4, 8, 8, 3), np.float32)), "float32"),
        (_labels(labels=[0, 0, 1]), "4 images but 3 labels"),
        (_labels(labels=["a", "b", "c", "d"]), "no list of whole numbers"),
        (_labels(labels=[0, 1, 2, 9]), "numbers 4 classes in 'train', from 0 to 9"),
        (_labels(labels=None), "no 'labels', only 'data'"),
        (_labels(data=None), "no 'data', only 'labels'"),
        (pickle.dumps([1, 2]), "holds a list of 2, not a dict"),
        (b"", "empty"),
        (b"\x89PNG not a pickle", "0x50"),
    ],
)
def test_a_bad_pickle_is_one_line_that_names_file_and_fault(content: bytes, message: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.pickle").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prepared(spec_of(8), SMALL, source, tmp_path / "root")
    assert "\n" not in str(caught.value)
    assert left_behind(tmp_path / "root") == []


def test_labels_without_images_and_images_without_labels_are_told(tmp_path: Path) -> None:
    images = make_images(SMALL, 2, 8)
    make.png_pickles(tmp_path, images, SMALL)
    (tmp_path / "tiered-imagenet" / "val_labels.pkl").unlink()
    with pytest.raises(DataError, match=r"val_labels\.pkl is missing"):
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root")


@pytest.mark.parametrize("change", [-1, 1])
def test_more_or_fewer_png_images_than_labels_are_told(change: int, tmp_path: Path) -> None:
    make.png_pickles(tmp_path, make_images(SMALL, 2, 8), SMALL)
    path = tmp_path / "tiered-imagenet" / "test_images_png.pkl"
    items = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(items[:change] if change < 0 else items + items[:1], protocol=2))
    with pytest.raises(DataError, match=r"labels|lists 3 items and has 2 encoded images"):
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root")


def test_a_source_of_another_split_is_refused(tmp_path: Path) -> None:
    make.mini_cache(tmp_path, make_images(SMALL, 2, 8), SMALL)
    (tmp_path / "mini-imagenet-cache-train.pkl").rename(tmp_path / "keep")
    (tmp_path / "mini-imagenet-cache-test.pkl").rename(tmp_path / "mini-imagenet-cache-train.pkl")
    with pytest.raises(DataError, match="'n04' in 'train', test-data has it in 'test'"):
        prepared(spec_of(8), SMALL, tmp_path, tmp_path / "root")

"""Damaged images and labels: named at once, left out on request, or refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.common.errors import DataError
from tests.helpers import data as make
from tests.helpers.data import SMALL, Images, left_behind, make_images
from tests.helpers.forms import fingerprint_of, prepared, spec_of


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
    assert dataset.fingerprint == fingerprint_of(left, tmp_path)
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

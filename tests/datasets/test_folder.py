"""Anyone's own images: three folders or a table, any size and colour, prepared once and again when they change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.common.errors import DataError
from harness.contract.data import DataRequest, Dataset
from harness.datasets import open_dataset
from harness.datasets.benchmarks.folder import FOLDER
from tests.helpers.data import left_behind, packed


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def draw(folder: Path, colour: str, count: int, size: tuple[int, int] = (30, 20), kind: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = Image.new("RGB", size, colour)
        image.putpixel((number, 0), (255, 255, 255))
        image.save(folder / f"{number}.{kind}")


def opened(path: Path, size: int | None = 16, **asked: Any) -> Dataset:
    return open_dataset(FOLDER, DataRequest(Path(), str(path), size, **asked))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    draw(root / "train" / "cat", "red", 3)
    draw(root / "train" / "dog", "green", 4, (300, 200), "jpg")
    draw(root / "val" / "eel", "blue", 2)
    draw(root / "test" / "fox", "white", 2)
    return root


def test_three_folders_are_three_splits(pets: Path) -> None:
    dataset = opened(pets)
    assert [(split.name, split.class_names) for split in dataset.splits] == [
        ("train", ("cat", "dog")),
        ("val", ("eel",)),
        ("test", ("fox",)),
    ]
    assert dataset.train is not None
    assert dataset.train.images.shape == (7, 16, 16, 3)
    assert np.bincount(dataset.train.labels).tolist() == [3, 4]
    assert dataset.train.images[0, 8, 8].tolist() == [255, 0, 0]
    assert dataset.spec.image_size == 16
    assert dataset.spec.name == "folder:pets"


def test_the_size_is_84_unless_asked_otherwise(pets: Path) -> None:
    assert opened(pets, None).splits[0].images.shape[1:] == (84, 84, 3)


def test_test_alone_is_enough(pets: Path) -> None:
    shutil.rmtree(pets / "train")
    shutil.rmtree(pets / "val")
    dataset = opened(pets)
    assert dataset.train is None
    assert dataset.val is None
    assert dataset.test is not None
    assert dataset.test.class_names == ("fox",)


def test_class_folders_without_images_are_told(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pets / "train" / "emu").mkdir()
    (pets / "train" / "gnu").mkdir()
    (pets / "train" / "gnu" / "0.heic").write_bytes(b"ftypheic")
    (pets / "notes").mkdir()  # beside the splits: no class
    dataset = opened(pets)
    assert dataset.train is not None
    assert dataset.train.class_names == ("cat", "dog")
    assert "2 class folders hold no image that can be read and are left out, train/emu first" in caplog.text


def test_a_table_puts_class_folders_into_splits(tmp_path: Path) -> None:
    for name, colour in (("cat", "red"), ("dog", "green"), ("unused", "blue")):
        draw(tmp_path / "own" / name, colour, 2)
    (tmp_path / "own" / "classes.csv").write_text("split,class\ntest,dog\ntrain,cat\n")
    dataset = opened(tmp_path / "own")
    assert [(split.name, split.class_names) for split in dataset.splits] == [("train", ("cat",)), ("test", ("dog",))]


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_serves_as_a_folder_does(pets: Path, ending: str) -> None:
    assert opened(packed(pets, ending)).fingerprint == opened(pets).fingerprint


def test_grey_and_sixteen_bit_images_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "own" / "test" / "a").mkdir(parents=True)
    Image.new("L", (9, 9), 70).save(tmp_path / "own" / "test" / "a" / "grey.png")
    Image.fromarray(np.full((9, 9), 0x4600, np.uint16)).save(tmp_path / "own" / "test" / "a" / "deep.png")
    dataset = opened(tmp_path / "own")
    assert dataset.test is not None
    assert np.unique(dataset.test.images).tolist() == [70]


def test_it_is_prepared_once_and_again_when_a_file_changes(pets: Path, own_cache: Path) -> None:
    first = opened(pets)
    opened(pets)
    assert len(left_behind(own_cache)) == 1
    draw(pets / "test" / "fox", "black", 1)
    os.utime(pets / "test" / "fox" / "0.png", (1, 1))
    second = opened(pets)
    assert first.fingerprint != second.fingerprint
    assert first.train is not None
    assert second.train is not None
    assert first.train.fingerprint == second.train.fingerprint


def test_class_names_in_any_script_stay_apart(tmp_path: Path) -> None:
    for name in ("猫", "犬", "cat-1", "cat_1", "Cat 1"):
        draw(tmp_path / "own" / "test" / name, "red", 1)
    dataset = opened(tmp_path / "own")
    assert dataset.test is not None
    assert set(dataset.test.class_names) == {"猫", "犬", "cat-1", "cat_1", "Cat 1"}


def test_a_class_in_two_splits_is_refused(pets: Path) -> None:
    draw(pets / "test" / "cat", "red", 1)
    with pytest.raises(DataError, match="the class 'cat' is there twice"):
        opened(pets)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("split,class\ntest,fox\nbase,cat\n", "puts the class 'cat' in 'base'"),
        ("split,class\ntest,cat\ntrain,cat\n", "puts the class 'cat' in 'train'"),
        ("split,class\ntest,cow\n", "no folder of images for 1 classes of its table, 'cow' first"),
    ],
)
def test_a_table_that_cannot_be_followed_is_told(table: str, message: str, pets: Path) -> None:
    (pets / "classes.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        opened(pets)


def test_a_folder_without_classes_is_told_how_to_arrange_it(tmp_path: Path, own_cache: Path) -> None:
    draw(tmp_path / "own", "red", 2)
    with pytest.raises(DataError, match="no folder of images a class under train/, val/ or test/"):
        opened(tmp_path / "own")
    assert left_behind(own_cache) == []


def test_a_file_that_is_no_image_is_named(pets: Path, own_cache: Path) -> None:
    (pets / "train" / "cat" / "broken.png").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"broken\.png: not an image"):
        opened(pets)
    assert left_behind(own_cache) == []


@pytest.mark.parametrize("size", [0, -3, 7, 5000])
def test_a_senseless_size_is_refused(size: int, pets: Path) -> None:
    with pytest.raises(DataError, match=f"--image-size {size}"):
        opened(pets, size)


def test_an_absent_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        opened(tmp_path / "nothing")


# ── classes without a split ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(10):
        draw(tmp_path / "photos" / f"class-{number}", ("red", "green", "blue")[number % 3], 2)
    return tmp_path / "photos"


def numbers(dataset: Dataset) -> dict[str, int]:
    return {split.name: split.n_classes for split in dataset.splits}


def test_folders_of_classes_without_a_split_are_told_of_the_flag(photos: Path, own_cache: Path) -> None:
    message = r"10 folders of images, class-0, class-1, class-2, …, in no split: .* --split 60/20/20"
    with pytest.raises(DataError, match=message) as caught:
        opened(photos)
    assert "\n" not in str(caught.value)
    assert left_behind(own_cache) == []


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ("60/20/20", {"train": 6, "val": 2, "test": 2}),
        ("3/1/1", {"train": 6, "val": 2, "test": 2}),
        ("50/0/50", {"train": 5, "test": 5}),
        ("0/0/1", {"test": 10}),
        ("98/1/1", {"train": 8, "val": 1, "test": 1}),
        ("1/1/1", {"train": 4, "val": 3, "test": 3}),
    ],
)
def test_classes_are_split_by_the_shares_and_every_class_is_used(
    shares: str, expected: dict[str, int], photos: Path
) -> None:
    dataset = opened(photos, split=shares)
    assert numbers(dataset) == expected
    assert sorted(name for split in dataset.splits for name in split.class_names) == sorted(
        path.name for path in photos.iterdir()
    )
    (note,) = dataset.notes
    assert note.startswith(f"classes split at random {shares} (seed 0): ")
    assert f"{expected['test']} novel" in note


def test_a_split_depends_on_the_seed_and_the_names_alone(photos: Path, tmp_path: Path) -> None:
    first, other = opened(photos, split="50/0/50"), opened(photos, split="50/0/50", split_seed=1)
    assert first.test is not None
    assert other.test is not None
    assert first.test.class_names != other.test.class_names
    assert opened(packed(photos, ".zip"), split="50/0/50").fingerprint == first.fingerprint
    photos.rename(tmp_path / "elsewhere")
    assert opened(tmp_path / "elsewhere", split="50/0/50").fingerprint == first.fingerprint


def test_every_class_is_novel_for_some_seed(photos: Path) -> None:
    novel = {
        name for seed in range(40) for name in opened(photos, split="80/0/20", split_seed=seed).splits[1].class_names
    }
    assert novel == {path.name for path in photos.iterdir()}


@pytest.mark.parametrize("shares", ["60/20", "a/b/c", "60/20/20/0", "-1/1/1", "", "60/40/0", "0.6/0.2/0.2"])
def test_shares_that_make_no_split_are_told(shares: str, photos: Path) -> None:
    with pytest.raises(DataError, match=r"--split .*as 60/20/20"):
        opened(photos, split=shares)


def test_more_shares_than_classes_are_told(tmp_path: Path) -> None:
    draw(tmp_path / "own" / "a", "red", 1)
    draw(tmp_path / "own" / "b", "red", 1)
    with pytest.raises(DataError, match="2 classes cannot be put into 3 splits"):
        opened(tmp_path / "own", split="60/20/20")


def test_a_split_of_what_has_one_is_refused(pets: Path) -> None:
    with pytest.raises(DataError, match=r"has splits of its own, test/fox in 'test' first: drop --split 60/20/20"):
        opened(pets, split="60/20/20")


def test_folders_that_are_not_beside_the_classes_are_left_out(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw(photos / "class-0" / "thumbnails", "red", 1)
    assert sum(numbers(opened(photos, split="60/20/20")).values()) == 10
    assert "1 images in 1 folders of no split are left out, class-0/thumbnails first" in caplog.text


def test_damaged_images_of_ones_own_are_left_out_on_request_and_told(photos: Path) -> None:
    (photos / "class-0" / "0.png").write_bytes(b"hello")
    (photos / "class-1" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 images cannot be read: .*class-0/0\.png.*class-1/1\.png.*--skip-damaged"):
        opened(photos, split="60/20/20")
    dataset = opened(photos, split="60/20/20", skip_damaged=True)
    assert sum(len(split) for split in dataset.splits) == 18
    assert dataset.notes[1:] == ("2 damaged images left out",)


def test_files_that_are_no_images_are_counted_by_suffix_in_a_note(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in ("cat", "dog"):
        draw(photos / "test" / name, "red", 1, kind="jfif")
        for number in range(3):
            (photos / "test" / name / f"{number}.HEIC").write_bytes(b"heic")
    (photos / "test" / "dog" / "notes").write_bytes(b"")
    (photos / "test" / "fox").mkdir()
    (photos / "test" / "fox" / "1.heic").write_bytes(b"heic")
    (photos / "read me.txt").write_bytes(b"beside the classes")
    left_out = "8 files left out that are no images in a format that is read: 7 .heic, 1 without a suffix"
    assert opened(photos).notes == (left_out,)

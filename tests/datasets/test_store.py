"""The prepared form: whole or absent, opened without reading images, verified against its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.contract.data import DataRequest, Dataset, DatasetSpec
from harness.datasets.prepared import store
from harness.datasets.prepared.fingerprints import canonical_order, image_digests
from harness.datasets.prepared.verify import verify


def _never(request: DataRequest) -> Dataset:
    raise AssertionError


SPEC = DatasetSpec("small", "test", 4, _never)
NAMES = ("ant", "bee", "cow")


def write(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    labels = np.repeat(np.arange(3), 3)
    digests = image_digests(images)
    order = canonical_order(labels, digests)
    blocks = [images[order][:5], images[order][5:]]
    record = store.write_split(folder, "test", NAMES, labels, digests[order], blocks, (4, 4, 3))
    store.write_index(folder, store.Index("small", {"test": record}, notes=("partial data",), origin={"form": "x"}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store.build(tmp_path, "small", write)


def test_what_was_written_is_opened_memory_mapped(folder: Path) -> None:
    dataset = store.open_folder(SPEC, folder)
    assert dataset.train is None
    assert dataset.val is None
    assert dataset.test is not None
    assert isinstance(dataset.test.images, np.memmap)
    assert dataset.test.images.shape == (9, 4, 4, 3)
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.test.class_names == NAMES
    assert dataset.notes == ("partial data",)
    with pytest.raises(ValueError, match="read-only"):
        dataset.test.labels[0] = 1


def test_the_fingerprint_is_what_its_definition_says(folder: Path) -> None:
    dataset = store.open_folder(SPEC, folder)
    assert dataset.test is not None
    lines = ["4x4x3"]
    for label, name in enumerate(NAMES):
        rows = [image.tobytes() for image in dataset.test.images[dataset.test.labels == label]]
        digests = [hashlib.sha256(row).digest() for row in rows]
        assert digests == sorted(digests)
        lines.append(f"{len(rows)} {hashlib.sha256(b''.join(digests)).hexdigest()} {name}")
    assert dataset.test.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_the_order_is_by_class_then_by_the_bytes_of_the_digest() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 300)
    digests = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    digests[::7, :9] = 0  # ties in the first word
    expected = sorted(range(300), key=lambda i: (labels[i], digests[i].tobytes()))
    assert canonical_order(labels, digests).tolist() == expected


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_labels_of_no_class_are_refused_at_opening(folder: Path, label: int) -> None:
    labels = np.load(folder / "test_labels.npy", mmap_mode="r+")
    labels[4] = label
    labels.flush()
    with pytest.raises(DataError, match=r"test_labels.npy has labels from .* not 0 to 2"):
        store.open_folder(SPEC, folder)


def test_opening_reads_no_image(folder: Path) -> None:
    with (folder / "test_images.npy").open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"xxxxx")
    dataset = store.open_folder(SPEC, folder)  # a changed image is for verify to find
    assert bytes(dataset.test.images[-1].reshape(-1)[-5:]) == b"xxxxx"


def test_verify_accepts_what_is_whole(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    verify(SPEC, folder, lambda done, total: steps.append((done, total)))
    assert steps == [(3, 9), (6, 9), (9, 9)]


def test_verify_names_the_first_class_with_a_changed_image(folder: Path) -> None:
    images = np.load(folder / "test_images.npy", mmap_mode="r+")
    images[4, 0, 0, 0] ^= 1
    images.flush()
    with pytest.raises(DataError, match="changed images in the split 'test', class 'bee'"):
        verify(SPEC, folder)


def test_verify_names_the_first_wrong_label(folder: Path) -> None:
    labels = np.load(folder / "test_labels.npy")
    labels[7] = 0
    np.save(folder / "test_labels.npy", labels)
    with pytest.raises(DataError, match="1 wrong labels in the split 'test', class 'cow'"):
        verify(SPEC, folder)


def test_verify_notices_a_renamed_class(folder: Path) -> None:
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace("bee", "wasp"))
    with pytest.raises(DataError, match="fingerprint of the split 'test'"):
        verify(SPEC, folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "splits": {"test": {}}}'])
def test_a_damaged_index_is_one_error(content: str, folder: Path) -> None:
    (folder / "dataset.json").write_text(content)
    with pytest.raises(DataError, match="damaged"):
        store.open_folder(SPEC, folder)


def test_another_format_version_is_told(folder: Path) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(DataError, match="format 99, this harness reads format 1"):
        store.open_folder(SPEC, folder)


@pytest.mark.parametrize("name", ["test_images.npy", "test_labels.npy"])
def test_a_cut_or_missing_array_is_one_error(name: str, folder: Path) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-9])
    with pytest.raises(DataError, match=name):
        store.open_folder(SPEC, folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        store.open_folder(SPEC, folder)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        store.build(tmp_path, "small", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".small.lock"]


def test_what_a_killed_preparation_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".small.preparing").mkdir()
    (tmp_path / ".small.preparing" / "rows").write_bytes(b"half")
    store.build(tmp_path, "small", write)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".small.lock", "small"]


def test_a_dataset_set_aside_by_a_killed_replacement_comes_back(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / ".small.old")

    def fail(place: Path) -> None:
        raise RuntimeError

    assert store.build(tmp_path, "small", fail) == folder  # it is there again, so nothing is written
    assert store.is_prepared(folder)


def test_a_replacement_that_fails_keeps_the_old_one(folder: Path, tmp_path: Path) -> None:
    before = (folder / "dataset.json").read_bytes()

    def fail(place: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="No space left"):
        store.build(tmp_path, "small", fail, replace=True)
    assert (folder / "dataset.json").read_bytes() == before


def test_a_root_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        store.build(tmp_path / "file" / "root", "small", write)

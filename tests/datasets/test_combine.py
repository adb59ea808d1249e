"""Train and validation classes merged, and training on one dataset with tests on another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.contract.data import DataRequest, Dataset, DatasetSpec, Split, SplitName
from harness.datasets.combine import JoinedImages, cross, trainval


def _never(request: DataRequest) -> Dataset:
    raise AssertionError


def split(name: SplitName, first: int, n_classes: int, size: int = 4) -> Split:
    rng = np.random.default_rng(first)
    images = rng.integers(0, 256, (n_classes * 3, size, size, 3), dtype=np.uint8)
    names = tuple(f"class {first + number}" for number in range(n_classes))
    return Split(name, images, np.repeat(np.arange(n_classes), 3), names, f"{name} {first}")


def dataset(name: str, first: int = 0, size: int = 4) -> Dataset:
    spec = DatasetSpec(name, "test", size, _never)
    parts = (split("train", first, 4, size), split("val", first + 4, 2, size), split("test", first + 6, 3, size))
    return Dataset(spec, *parts)


@pytest.mark.parametrize(
    "index",
    [
        0,
        5,
        -1,
        np.int64(7),
        slice(2, 9),
        slice(None, None, -2),
        slice(3, 3),
        np.array([8, 0, 8, 3]),
        np.array([-1, 0]),
        np.array([], dtype=np.int64),
        np.array([[1, 8], [2, 3]]),
        np.arange(10) % 3 == 0,
        [1, 2, 9],
        (slice(1, 8), 0),
        (np.array([9, 1]), slice(None), 1),
        (3, 2),
    ],
)
def test_joined_images_index_as_the_joined_array_does(index: object) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8) for n in (3, 1, 6)]
    expected = np.concatenate(parts)
    joined = JoinedImages(parts)
    assert np.array_equal(joined[index], expected[index])  # type: ignore[call-overload]
    assert joined.shape == expected.shape
    assert joined.dtype == expected.dtype
    assert joined.nbytes == expected.nbytes
    assert len(joined) == 10
    assert np.array_equal(np.asarray(joined), expected)
    assert np.array_equal(np.ascontiguousarray(joined), expected)


@pytest.mark.parametrize("index", [10, -11, np.array([0, 10]), np.array([-11])])
def test_joined_images_refuse_places_outside(index: object) -> None:
    joined = JoinedImages([np.zeros((4, 2, 2, 3), np.uint8), np.zeros((6, 2, 2, 3), np.uint8)])
    with pytest.raises(IndexError):
        joined[index]


def test_trainval_has_both_splits_classes_in_order() -> None:
    whole = dataset("A")
    merged = trainval(whole)
    assert merged.val is None
    assert merged.test is whole.test
    assert merged.train is not None
    assert whole.train is not None
    assert whole.val is not None
    assert merged.train.class_names == (*whole.train.class_names, *whole.val.class_names)
    assert merged.train.labels.tolist() == [*whole.train.labels, *(whole.val.labels + 4)]
    assert np.array_equal(merged.train.images[:], np.concatenate([whole.train.images, whole.val.images]))
    assert merged.train.fingerprint not in {whole.train.fingerprint, whole.val.fingerprint}
    assert merged.fingerprint != whole.fingerprint


def test_trainval_needs_both_splits() -> None:
    with pytest.raises(DataError, match="A has no validation classes"):
        trainval(replace(dataset("A"), val=None))
    with pytest.raises(DataError, match="A has no base classes"):
        trainval(replace(dataset("A"), train=None))


def test_cross_trains_on_one_and_tests_on_the_other() -> None:
    first, second = dataset("A"), replace(dataset("B", first=100), notes=("partial data (3 of 5 novel classes)",))
    both = cross(first, second)
    assert both.spec is first.spec
    assert both.train is first.train
    assert both.val is first.val
    assert both.test is second.test
    assert both.notes == ("partial data (3 of 5 novel classes)",)


def test_cross_refuses_classes_that_were_trained_on() -> None:
    with pytest.raises(DataError, match="2 novel classes of B are among the train classes of A, 'class 2' first"):
        cross(dataset("A"), replace(dataset("B", first=100), test=split("test", 2, 2)))
    with pytest.raises(DataError, match="among the val classes of A"):
        cross(dataset("A"), replace(dataset("B", first=100), test=split("test", 5, 1)))


def test_cross_refuses_images_of_another_size() -> None:
    with pytest.raises(DataError, match="images of B are 8×8×3, those of A are 4×4×3"):
        cross(dataset("A"), dataset("B", first=100, size=8))


def test_cross_needs_novel_classes() -> None:
    with pytest.raises(DataError, match="B has no novel classes"):
        cross(dataset("A"), replace(dataset("B", first=100), test=None))


def test_splits_that_share_a_class_are_refused() -> None:
    with pytest.raises(DataError, match="the splits 'train' and 'test' share 1 class"):
        replace(dataset("A"), test=split("test", 3, 1))

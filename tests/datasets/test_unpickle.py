"""The pickle reader builds what plain pickles hold, in all protocols, and nothing that could run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from harness.common.errors import DataError
from harness.datasets.preparing.sources.unpickle import as_bytes, iterate, load
from tests.helpers.data import python2_pickle

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)
arrays = hypothesis_numpy.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32, np.dtype(">i4"), np.bool_]),
    hypothesis_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
)


def same(left: Any, right: Any) -> bool:
    if isinstance(right, dict):
        return set(left) == set(right) and all(same(left[key], right[key]) for key in right)
    if isinstance(right, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(right, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return bool(left == right)


@given(plain, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_plain_values_come_back_as_pickle_gives_them(value: Any, protocol: int) -> None:
    assert same(load(memoryview(pickle.dumps(value, protocol)), "x"), value)


@given(arrays, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_arrays_come_back_as_pickle_gives_them(array: np.ndarray, protocol: int) -> None:
    assert same(load(memoryview(pickle.dumps({"data": array}, protocol)), "x"), {"data": array})


@given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_items_of_a_list_come_one_by_one_as_they_were(items: list[bytes], protocol: int) -> None:
    pickled = memoryview(pickle.dumps([np.frombuffer(item, np.uint8) for item in items], protocol))
    assert [bytes(as_bytes(item) or b"") for item in iterate(pickled, "x")] == items


@pytest.mark.parametrize("protocol", range(6))
def test_long_strings_bytes_and_fortran_arrays_survive(protocol: int, tmp_path: Path) -> None:
    value = {"text": "é" * 5000, "raw": b"\xff" * 5000, "array": np.asfortranarray(np.arange(6).reshape(2, 3))}
    assert same(load(memoryview(pickle.dumps(value, protocol)), "x", tmp_path), value)


def test_an_array_written_as_text_is_decoded_through_the_scratch_folder(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, 20_000_000, dtype=np.uint8)
    loaded = load(memoryview(pickle.dumps(array, protocol=2)), "x", tmp_path)
    assert np.array_equal(loaded, array)
    assert len(list(tmp_path.iterdir())) == 1


def test_scalars_of_numpy_are_read() -> None:
    assert load(memoryview(pickle.dumps([np.int64(7), np.float32(0.5)])), "x") == [7, 0.5]


def test_old_and_new_module_paths_are_the_same() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for protocol in (2, 4, 5):
        pickled = pickle.dumps(array, protocol)
        old, new = b"numpy.core.", b"numpy._core."
        other = pickled.replace(old, new) if old in pickled else pickled.replace(new, old)
        if protocol >= 4:  # lengths stand before names and frames there
            continue
        assert np.array_equal(load(memoryview(other), "x"), array)
        assert np.array_equal(load(memoryview(pickled), "x"), array)


def test_what_python_2_wrote_is_read() -> None:
    images = np.arange(2 * 3 * 200, dtype=np.uint8).reshape(2, 3, 200)
    loaded = load(memoryview(python2_pickle({"data": images, "labels": [3, 1], "names": ["apple", "\xe9"]})), "x")
    assert np.array_equal(loaded.pop("data"), images)
    assert loaded == {"labels": [3, 1], "names": ["apple", "é"]}


class Runs:
    """Python's own reader makes a folder when it loads a pickle of this."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_runs_nothing(protocol: int, tmp_path: Path) -> None:
    pickled = pickle.dumps([Runs(tmp_path / "made")], protocol)
    with pytest.raises(DataError, match="mkdir"):
        load(memoryview(pickled), "evil.pkl")
    with pytest.raises(DataError, match="mkdir"):
        list(iterate(memoryview(pickled), "evil.pkl"))
    assert not (tmp_path / "made").exists()
    pickle.loads(pickled)  # the same bytes do run under Python's own reader, so the test can fail
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\ngetattr\n.",
        b"(S'ls'\nios\nsystem\n.",
        b"\x80\x02cnumpy\nload\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.",
        b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13tR.",
        b"\x80\x02cnumpy\ndtype\n(U\x01OK\x00K\x01tR.",
        b"Pid\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_instructions_that_could_run_something_are_refused(code: bytes) -> None:
    with pytest.raises(DataError, match="x: "):
        load(memoryview(code), "x")


def test_a_reference_into_the_distant_past_of_a_list_is_an_error_not_a_wrong_image() -> None:
    items = b"".join(b"]r" + i.to_bytes(4, "little") for i in range(230_000))
    half = len(items) // 2
    recall = b"j" + (50_000).to_bytes(4, "little")
    pickled = b"\x80\x02](" + items[:half] + b"e(" + items[half:] + b"e(" + recall + b"e."
    with pytest.raises(DataError, match="damaged"):
        list(iterate(memoryview(pickled), "x"))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    for read in (load, lambda view, where: list(iterate(view, where))):
        try:
            read(memoryview(data), "x")  # type: ignore[operator]
        except DataError as error:
            told = str(error)
        else:
            continue
        assert told.startswith("x: ")

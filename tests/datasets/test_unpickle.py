"""The pickle reader builds what plain pickles hold, in all protocols, and nothing that could run."""

from __future__ import annotations

import collections
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
from harness.datasets.preparing.sources.unpickle import images, load
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


@given(st.lists(st.binary(min_size=57, max_size=3000), max_size=8), st.integers(0, 5), st.booleans())
@settings(max_examples=80, deadline=None)
def test_images_of_a_list_come_one_by_one_as_they_were(items: list[bytes], protocol: int, arrays: bool) -> None:
    apart = [item + bytes([place]) for place, item in enumerate(items)]  # no two are one object
    pickled = pickle.dumps([np.frombuffer(item, np.uint8) if arrays else item for item in apart], protocol)
    assert [bytes(image) for image in images(memoryview(pickled), "x")] == apart


def test_images_are_read_from_what_python_2_wrote() -> None:
    items = [bytes(range(200)), bytes(range(100, 256)) * 9]
    pickled = python2_pickle([np.frombuffer(item, np.uint8) for item in items])
    assert [bytes(image) for image in images(memoryview(pickled), "x")] == items


@pytest.mark.parametrize("value", [{"a": b"x" * 99}, (b"x" * 99,), b"x" * 99])
def test_images_come_from_a_list_alone(value: Any) -> None:
    with pytest.raises(DataError, match="no list of images"):
        list(images(memoryview(pickle.dumps(value, 2)), "x"))


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
    list(images(memoryview(pickled), "evil.pkl"))
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


def laughing(levels: int = 40, width: int = 10) -> Any:
    """A list that holds one list ten times, which holds another ten times, and so on: 10^40 values in 1 kB."""
    value: Any = ["ha"]
    for _ in range(levels):
        value = [value] * width
    return value


def nested(make: bytes, levels: int) -> bytes:
    """A pickle of ``levels`` containers, each in the next."""
    return {b"list": b"]" * levels + b"a" * (levels - 1), b"tuple": b")" + b"\x85" * levels}[make] + b"."


def told(pickled: bytes) -> str:
    with pytest.raises(DataError) as caught:
        load(memoryview(pickled), "x")
    return str(caught.value)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_values_that_grow_are_refused(protocol: int) -> None:
    for value in (laughing(), {"labels": laughing()}, tuple(laughing())):
        assert told(pickle.dumps(value, protocol)).startswith("x: refused: the pickle ")


@pytest.mark.parametrize("kind", [b"list", b"tuple"])
@pytest.mark.parametrize("levels", [33, 5_000, 1_000_000])
def test_values_that_are_deep_are_refused(kind: bytes, levels: int) -> None:
    assert "x: refused: the pickle " in told(b"\x80\x02" + nested(kind, levels))


def test_a_deep_tuple_is_no_key_of_a_dict() -> None:
    assert "uses a tuple as a key" in told(b"\x80\x02}" + nested(b"tuple", 1_000_000)[:-1] + b"K\x01s.")


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    assert "nests values more than 32 deep" in told(pickle.dumps(value))


@pytest.mark.parametrize("code", [b"Nr\xff\xff\xff\x7f.", b"Np99999999999\n.", b"Nr\x00\x00\x00\x40."])
def test_a_place_in_the_memo_far_beyond_the_objects_is_refused(code: bytes) -> None:
    assert "numbers its objects out of order" in told(code)


@pytest.mark.parametrize("code", [b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 7 + b"\x7f", b"T\xff\xff\xff\xff"])
def test_a_string_that_ends_behind_the_file_is_refused(code: bytes) -> None:
    assert "are left" in told(code + b"abc.")


def test_arrays_of_nothing_by_the_trillion_are_refused() -> None:
    """No bytes fit any number of items of no size."""
    dtype = b"cnumpy\ndtype\n(U\x02S0K\x00K\x01tR"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    assert "of type 'S0'" in told(b"\x80\x02" + made + b"(K\x01(J\xff\xff\xff\x7ftq\x00" + dtype + b"\x89U\x00tb.")


def test_ordered_dicts_of_both_pythons_are_dicts() -> None:
    value = collections.OrderedDict([("b", 1), ("a", [2, 3])])
    assert load(memoryview(pickle.dumps(value, 4)), "x") == {"b": 1, "a": [2, 3]}
    old = b"\x80\x02ccollections\nOrderedDict\n](](U\x01bK\x01e](U\x01aK\x02ee\x85R."
    assert load(memoryview(old), "x") == {"b": 1, "a": 2}


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    for read in (load, lambda view, where: list(images(view, where))):
        try:
            read(memoryview(data), "x")  # type: ignore[operator]
        except DataError as error:
            told = str(error)
        else:
            continue
        assert told.startswith("x: ")

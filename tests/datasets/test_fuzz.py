"""Damaged and hostile files, over every reader: a dataset that verifies or one clear error, and nothing left behind."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.common.errors import DataError
from harness.contract.data import DataRequest, Dataset, DatasetSpec
from harness.datasets.prepared import store
from harness.datasets.prepared.verify import verify
from harness.datasets.preparing.classes import ClassList, ListedClass
from harness.datasets.preparing.prepare import PrepareRequest, prepare_dataset
from tests.helpers import data as make
from tests.helpers.data import SMALL, left_behind, make_images, packed
from tests.helpers.readers import READERS

MARK = Path(tempfile.gettempdir()) / f"harness-hostile-{os.getpid()}"
EXAMPLES = int(os.environ.get("HARNESS_FUZZ_EXAMPLES", "140"))  # a reader; 16 readers: over 2,000 in all
CIFAR = ClassList(ListedClass(each.split, each.name) for each in SMALL.classes)


def _never(request: DataRequest) -> Dataset:
    raise AssertionError


Build = Callable[[Path], None]
SOURCES: dict[str, tuple[int, Build]] = {  # image size, how to build
    "official pickles": (32, lambda root: make.cifar100_python(root, make_images(CIFAR, 2, 32), CIFAR)),
    "split pickles": (4, lambda root: make.split_pickles(root, make_images(SMALL, 2, 4), SMALL, "{}.pickle")),
    "python 2 pickles": (4, lambda root: _python2(root)),
    "mini cache": (4, lambda root: make.mini_cache(root, make_images(SMALL, 2, 4), SMALL)),
    "mini cache, protocol 5": (4, lambda root: make.mini_cache(root, make_images(SMALL, 2, 4), SMALL, 5)),
    "mini cache, protocol 0": (4, lambda root: make.mini_cache(root, make_images(SMALL, 2, 4), SMALL, 0)),
    "PNG pickles": (4, lambda root: make.png_pickles(root, make_images(SMALL, 2, 4), SMALL)),
    "npz": (4, lambda root: make.npz_arrays(root, make_images(SMALL, 2, 4), SMALL)),
    "packed npz": (4, lambda root: make.npz_arrays(root, make_images(SMALL, 2, 4), SMALL, packed=True)),
    "listed images": (4, lambda root: make.listed_images(root, make_images(SMALL, 2, 4), SMALL)),
    "class folders": (4, lambda root: make.class_folders(root, make_images(SMALL, 2, 4), SMALL, "x")),
    "JPEG folders": (4, lambda root: _jpegs(root)),
}
ARCHIVED = {f"class folders{ending}": ("class folders", ending) for ending in (".zip", ".tar", ".tar.gz", ".tar.xz")}


def _python2(root: Path) -> None:
    images = make_images(SMALL, 2, 4)
    table = {"data": np.concatenate([images["n01"], images["n02"]]), "labels": [0, 0, 1, 1]}
    (root / "train.pickle").write_bytes(make.python2_pickle(table))


def _jpegs(root: Path) -> None:
    for name, rows in make_images(SMALL, 2, 9).items():
        (root / name).mkdir()
        for number, image in enumerate(rows):
            (root / name / f"{number}.jpg").write_bytes(make.encode(image, "JPEG"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One whole source a reader; no test changes them."""
    found = {}
    for name, (_, build) in SOURCES.items():
        found[name] = tmp_path_factory.mktemp("original") / "source"
        found[name].mkdir()
        build(found[name])
    return found | {name: packed(found[form], ending) for name, (form, ending) in ARCHIVED.items()}


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A change of some bytes: cut, flipped, overwritten, moved, replaced by something else entirely."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "flips", "fill", "insert", "swap", "other"]))
    where, length = draw(st.floats(0, 1)), draw(st.integers(1, 64))
    value = draw(st.integers(0, 255))
    other = draw(
        st.sampled_from([b"", b"hello", b"\x80\x04]", b"PK\x05\x06" + b"\0" * 18, pickle.dumps(HostilePickle())])
    )
    places = draw(st.lists(st.floats(0, 1), min_size=2, max_size=12))

    def damage(data: bytes) -> bytes:
        at = min(int(where * len(data)), max(len(data) - 1, 0))
        changed = bytearray(data)
        match kind:
            case "cut":
                return data[:at]
            case "flip" | "flips":
                for place in [where] if kind == "flip" else places:
                    if changed:
                        changed[min(int(place * len(data)), len(data) - 1)] ^= 1 << (value % 8)
            case "fill":
                changed[at : at + length] = bytes([value]) * length
            case "insert":
                changed[at:at] = bytes([value]) * length
            case "swap":
                changed[at : at + length], changed[:length] = changed[:length], changed[at : at + length]
            case _:
                return other
        return bytes(changed)

    return damage


class HostilePickle:
    """Makes a folder when Python's own reader loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(MARK),)


@pytest.mark.parametrize("reader", [*SOURCES, *ARCHIVED])
def test_a_damaged_source_is_one_error_and_leaves_nothing(
    reader: str, originals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # thousands of preparations; nothing here loses power
    base = tmp_path_factory.mktemp("fuzz")
    size = SOURCES[ARCHIVED[reader][0] if reader in ARCHIVED else reader][0]
    spec = DatasetSpec("fuzz", "test", size, _never)
    original = originals[reader]
    paths = [original] if original.is_file() else sorted(path for path in original.rglob("*") if path.is_file())

    @given(damages(), st.integers(0, 10_000))
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(damage: Callable[[bytes], bytes], which: int) -> None:
        assert set(os.listdir(base)) <= {original.name, "root"}  # the last source wrote nowhere else
        shutil.rmtree(base)
        base.mkdir()
        source, root = base / original.name, base / "root"
        victim = paths[which % len(paths)]
        if original.is_file():
            source.write_bytes(damage(original.read_bytes()))
        else:
            shutil.copytree(original, source)
            path = source / victim.relative_to(original)
            path.write_bytes(damage(path.read_bytes()))
        try:
            folder = prepare_dataset(spec, SMALL, READERS, PrepareRequest(root, source))
        except DataError as error:
            told = str(error)
        else:
            store.open_folder(spec, folder)
            verify(spec, folder)
            return
        assert "\n" not in told
        assert left_behind(root) == []

    check()
    assert not MARK.exists()


@pytest.mark.parametrize("key", ["data", "labels", "image_data", "class_dict", "label_specific", "fine_labels"])
def test_values_of_a_wrong_kind_are_one_error(key: str, originals: dict[str, Path], tmp_path: Path) -> None:
    """Every value of every pickle replaced by values of other kinds."""
    wrong: list[Any] = [
        None,
        7,
        "text",
        b"bytes",
        [],
        {},
        (),
        [None],
        [[1, 2]],
        {"a": 1},
        {"n01": "x"},
        {"n01": [0.5]},
        np.zeros(3),
        np.zeros((2, 4, 4, 3), np.float64),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        [2**70] * 4,
        np.array(["a", "b"]),
        np.array([1, 2, 3, 4], dtype=np.uint64),
        [-1] * 4,
        np.zeros((4, 4, 4, 3), dtype=">u2"),
    ]
    tried = 0
    for name in ("official pickles", "split pickles", "mini cache", "PNG pickles", "npz"):
        for path in sorted(file for file in originals[name].rglob("*") if file.is_file() and file.suffix != ".npz"):
            try:
                table = pickle.loads(path.read_bytes())
            except pickle.UnpicklingError:
                continue
            found = [each for each in table if each in (key, key.encode())] if isinstance(table, dict) else []
            for each in found:
                for value in wrong:
                    source, root = tmp_path / "source", tmp_path / "root"
                    shutil.copytree(originals[name], source)
                    changed = source / path.relative_to(originals[name])
                    changed.write_bytes(pickle.dumps(table | {each: value}, protocol=2))
                    spec = DatasetSpec("fuzz", "test", SOURCES[name][0], _never)
                    with pytest.raises(DataError):
                        prepare_dataset(spec, SMALL, READERS, PrepareRequest(root, source))
                    assert left_behind(root) == []
                    shutil.rmtree(source)
                    tried += 1
    assert tried >= len(wrong)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint16", "object", "S8", "bool"])
def test_an_npz_of_another_type_is_one_error(dtype: str, tmp_path: Path) -> None:
    make.npz_arrays(tmp_path, make_images(SMALL, 2, 4), SMALL)
    images = np.zeros((4, 4, 4, 3), dtype)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        array = io.BytesIO()
        np.save(array, images, allow_pickle=True)
        archive.writestr("images.npy", array.getvalue())
    (tmp_path / "train_images.npz").write_bytes(buffer.getvalue())
    spec = DatasetSpec("fuzz", "test", 4, _never)
    with pytest.raises(DataError, match=r"train_images\.npz"):
        prepare_dataset(spec, SMALL, READERS, PrepareRequest(tmp_path / "root", tmp_path))

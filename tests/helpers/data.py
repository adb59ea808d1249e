"""Small genuine files in every form that people have, and the prepared CIFAR-FS, for the tests of datasets."""

from __future__ import annotations

import csv
import io
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.datasets.preparing.classes import SPLITS, ClassList, ListedClass, published

SHARED = Path(__file__).parents[3] / "shared"
Images = dict[str, np.ndarray]  # class name → (n, H, W, C) uint8


def make_images(classes: ClassList, per_class: int, size: int, channels: int = 3, seed: int = 0) -> Images:
    """Noise for each class of the list, different in every image."""
    rng = np.random.default_rng(seed)
    shape = (per_class, size, size, channels)
    return {each.name: rng.integers(0, 256, shape, dtype=np.uint8) for each in classes.classes}


SMALL = ClassList(
    ListedClass(split, name, title)
    for split, name, title in [
        ("train", "n01", "red fox"),
        ("train", "n02", "grey wolf"),
        ("val", "n03", "crane"),
        ("test", "n04", "crane"),
    ]
)


def encode(image: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, kind)
    return buffer.getvalue()


# ── the forms ─────────────────────────────────────────────────────────────────────────────────────


def class_folders(root: Path, images: Images, classes: ClassList, under: str = "cifar100/data") -> None:
    """``under/<class>/<n>.png``, as CIFAR-FS's authors ship it."""
    for name, rows in images.items():
        folder = root / under / name
        folder.mkdir(parents=True)
        for number, image in enumerate(rows):
            (folder / f"{number:06d}.png").write_bytes(encode(image))


def cifar100_python(root: Path, images: Images, classes: ClassList, protocol: int = 2) -> None:
    """``cifar-100-python/{train,test,meta}`` with rows of 3,072 bytes in CHW order, their keys bytes."""
    folder = root / "cifar-100-python"
    folder.mkdir()
    names = sorted(images)
    rows = [(label, image) for label, name in enumerate(names) for image in images[name]]
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [name.encode() for name in names]}, protocol))
    for part, some in (("train", rows[::2]), ("test", rows[1::2])):
        data = np.stack([image.transpose(2, 0, 1).reshape(-1) for _, image in some])
        table = {b"data": data, b"fine_labels": [label for label, _ in some], b"coarse_labels": [0] * len(some)}
        (folder / part).write_bytes(pickle.dumps(table | {b"filenames": [b"x.png"] * len(some)}, protocol))


def split_pickles(root: Path, images: Images, classes: ClassList, pattern: str = "CIFAR_FS_{}.pickle") -> None:
    """A dict of ``data`` (N, H, W, C) and ``labels`` a split, numbered in sorted order within the split."""
    for split in SPLITS:
        names = sorted(each.name for each in classes.of(split))
        data = np.concatenate([images[name] for name in names])
        labels = [label for label, name in enumerate(names) for _ in images[name]]
        word = "train_phase_train" if "category_split" in pattern and split == "train" else split
        (root / pattern.format(word)).write_bytes(pickle.dumps({"data": data, "labels": labels}, protocol=2))


def mini_cache(root: Path, images: Images, classes: ClassList, protocol: int = 2) -> None:
    """``mini-imagenet-cache-{train,validation,test}.pkl``: ``image_data`` and ``class_dict``."""
    for split, word in zip(SPLITS, ("train", "validation", "test"), strict=True):
        names = [each.name for each in classes.of(split)]
        counts = [len(images[name]) for name in names]
        ends = np.cumsum(counts)
        where = {name: list(range(end - n, end)) for name, n, end in zip(names, counts, ends, strict=True)}
        table = {"image_data": np.concatenate([images[name] for name in names]), "class_dict": where}
        (root / f"mini-imagenet-cache-{word}.pkl").write_bytes(pickle.dumps(table, protocol))


def listed_images(root: Path, images: Images, classes: ClassList) -> None:
    """``images/*.png`` and ``{train,val,test}.csv`` with ``filename,label``."""
    (root / "images").mkdir()
    for split in SPLITS:
        with (root / f"{split}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["filename", "label"])
            for each in classes.of(split):
                for number, image in enumerate(images[each.name]):
                    name = f"{each.name}{number:08d}.png"
                    (root / "images" / name).write_bytes(encode(image))
                    table.writerow([name, each.name])


def named_images(root: Path, images: Images, classes: ClassList) -> None:
    """``images/*.png``, each named by its class and a number, without tables."""
    (root / "images").mkdir()
    for name, rows in images.items():
        for number, image in enumerate(rows):
            (root / "images" / f"{name}{number:08d}.png").write_bytes(encode(image))


def png_pickles(root: Path, images: Images, classes: ClassList, item: Callable[[bytes], Any] | None = None) -> None:
    """tieredImageNet as Ren et al. and learn2learn ship it."""
    as_item = item or (lambda data: np.frombuffer(data, dtype=np.uint8))
    folder = root / "tiered-imagenet"
    folder.mkdir()
    for split in SPLITS:
        members = classes.of(split)
        pngs = [as_item(encode(image)) for each in members for image in images[each.name]]
        labels = np.concatenate([[label] * len(images[each.name]) for label, each in enumerate(members)])
        table = {
            "label_specific": labels.astype(np.int64),
            "label_general": labels * 0,
            "label_specific_str": [each.title for each in members],
            "label_general_str": ["thing"],
        }
        (folder / f"{split}_images_png.pkl").write_bytes(pickle.dumps(pngs, protocol=2))
        (folder / f"{split}_labels.pkl").write_bytes(pickle.dumps(table, protocol=2))
    (folder / "synsets.txt").write_text("".join(f"{each.name}\n" for each in classes.classes))
    (folder / "class_names.txt").write_text("".join(f"{each.title}\n" for each in classes.classes))


def npz_arrays(root: Path, images: Images, classes: ClassList, packed: bool = False) -> None:
    """tieredImageNet as RFS uses it: numbers only, in sorted order of the synsets."""
    for split in SPLITS:
        names = sorted(each.name for each in classes.of(split))
        labels = [label for label, name in enumerate(names) for _ in images[name]]
        save = np.savez_compressed if packed else np.savez
        save(root / f"{split}_images.npz", images=np.concatenate([images[name] for name in names]))
        (root / f"{split}_labels.pkl").write_bytes(pickle.dumps({"labels": labels}, protocol=2))


def packed(folder: Path, ending: str) -> Path:
    """The folder's content as an archive beside it."""
    target = folder.with_name(folder.name + ending)
    members = sorted(path for path in folder.rglob("*") if path.is_file())
    if ending == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in members:
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(target, {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz"}[ending]) as archive:
            archive.add(folder, arcname=".")
    return target


def python2_pickle(value: Any) -> bytes:
    """``value`` as Python 2's cPickle wrote it in protocol 2: strings and arrays as byte strings."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(part) for pair in value.items() for part in pair) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(_python2(part) for part in value) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(_python2(part) for part in value) + b"t"
    if isinstance(value, str):
        raw = value.encode("latin1")
        return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    assert isinstance(value, np.ndarray)
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return (
        made + b"(K\x01" + _python2(value.shape) + dtype + b"\x89" + _python2(value.tobytes().decode("latin1")) + b"tb"
    )


# ── the real thing ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def cifar_fs_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data root with all of CIFAR-FS, prepared from the authors' archive; skips where the archive is absent."""
    from harness.datasets.benchmarks.cifar import CIFAR_FS
    from harness.datasets.preparing.prepare import PrepareRequest

    archive = SHARED / "data" / "cifar-fs.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is absent: the real CIFAR-FS is needed for this test")
    root = tmp_path_factory.mktemp("real-data")
    assert CIFAR_FS.prepare is not None
    CIFAR_FS.prepare(PrepareRequest(root, archive))
    yield root
    shutil.rmtree(root, ignore_errors=True)


def left_behind(root: Path) -> list[str]:
    """What a failed preparation left in a data root, locks apart."""
    return sorted(name for name in os.listdir(root) if not name.endswith(".lock")) if root.exists() else []


def cifar_classes() -> ClassList:
    """CIFAR-FS's classes without published counts or pixels, for small copies."""
    return ClassList(ListedClass(each.split, each.name) for each in published("CIFAR-FS").classes)

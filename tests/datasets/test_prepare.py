"""``harness data``: prepare, verify, info, as a user meets them, killed, doubled and misused included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.cli.main import main
from harness.contract.data import DataRequest
from harness.datasets import open_dataset
from harness.datasets.benchmarks.cifar import CIFAR_FS
from harness.datasets.benchmarks.imagenet import TIERED
from harness.datasets.benchmarks.omniglot import OMNIGLOT
from harness.datasets.preparing.classes import published
from tests.helpers import data as make
from tests.helpers.data import SHARED, cifar_fs_root, left_behind  # noqa: F401


def run(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


@pytest.fixture(scope="module")
def small_cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 100 classes of CIFAR-100 with two images each, as folders."""
    classes = published("CIFAR-FS", 600, "CIFAR-100")
    folder = tmp_path_factory.mktemp("cifar")
    make.class_folders(folder, make.make_images(classes, 2, 32), classes)
    return folder


def test_a_small_copy_is_prepared_marked_partial_verified_and_shown(
    small_cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", "CIFAR-FS", "--source", small_cifar, "--data-root", tmp_path) == 0
    told = capsys.readouterr().err
    assert "apple has 2 images, published are 600" in told
    assert "97 more classes have another number of images" in told
    dataset = open_dataset(CIFAR_FS, DataRequest(tmp_path))
    assert dataset.notes == ("partial data (200 of 60,000 images)",)
    assert run("verify", "CIFAR-FS", "--data-root", tmp_path) == 0
    picture = tmp_path / "sheet.png"
    assert run("info", "CIFAR-FS", "--data-root", tmp_path, "--preview", picture, "--classes") == 0
    shown = capsys.readouterr().out
    assert "train (base): 64 classes, 128 images of 32×32×3" in shown
    assert "partial data (200 of 60,000 images)" in shown
    assert "     2  worm" in shown
    with Image.open(picture) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[0] > 36 * 34  # 12 classes of each split
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000


def test_missing_classes_are_named_and_counted(
    small_cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("apple", "bear", "worm", "not_a_class"):
        target = "apple" if name == "not_a_class" else name
        (source / name).symlink_to(small_cifar / "cifar100" / "data" / target)
    assert run("prepare", "CIFAR-FS", "--source", source, "--data-root", tmp_path / "root") == 0
    told = capsys.readouterr().err
    assert "62 base classes are missing: aquarium_fish" in told
    assert "1 folders that the split does not list were left out, 'not_a_class'" in told
    dataset = open_dataset(CIFAR_FS, DataRequest(tmp_path / "root"))
    assert dataset.val is None
    assert dataset.notes == (
        "partial data (2 of 64 base classes, 0 of 16 validation classes, 1 of 20 novel classes, 6 of 60,000 images)",
    )


def test_a_second_preparation_needs_replace_for_another_source(
    small_cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", "CIFAR-FS", "--source", small_cifar, "--data-root", tmp_path) == 0
    assert run("prepare", "CIFAR-FS", "--source", small_cifar, "--data-root", tmp_path) == 0
    other = make.packed(small_cifar, ".zip")
    assert run("prepare", "CIFAR-FS", "--source", other, "--data-root", tmp_path) == 2
    assert "add --replace" in capsys.readouterr().err
    assert run("prepare", "CIFAR-FS", "--source", other, "--data-root", tmp_path, "--replace") == 0
    other.unlink()
    assert left_behind(tmp_path) == ["CIFAR-FS"]


@pytest.mark.parametrize("dataset", ["tieredImageNet", "miniImageNet", "Omniglot", "CUB-200-2011"])
def test_another_dataset_is_refused_though_it_has_a_plate_and_an_apple_too(
    dataset: str, small_cifar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", dataset, "--source", small_cifar, "--data-root", tmp_path) == 2
    assert f"none of the forms in which {dataset} is known" in capsys.readouterr().err
    assert left_behind(tmp_path) == []


def test_what_a_killed_replacement_left_is_removed_by_the_next_command(small_cifar: Path, tmp_path: Path) -> None:
    arguments = ["prepare", "CIFAR-FS", "--source", small_cifar, "--data-root", tmp_path]
    assert run(*arguments) == 0
    (tmp_path / ".CIFAR-FS.preparing").mkdir()
    assert run(*arguments) == 0
    assert left_behind(tmp_path) == ["CIFAR-FS"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "CIFAR-SF", "--source", "."], "Did you mean 'CIFAR-FS'"),
        (["prepare", "CIFAR-FS"], "give either --source PATH or --download"),
        (["prepare", "CIFAR-FS", "--source", ".", "--download"], "give either --source PATH or --download"),
        (["prepare", "CIFAR-FS", "--source", "nowhere"], "there is no file or folder nowhere"),
        (["prepare", "CIFAR-FS", "--source", __file__], "none of the forms in which CIFAR-FS is known"),
        (["prepare", "glyphs", "--source", "."], "glyphs needs no preparation"),
        (["prepare", "folder:x", "--source", "."], "prepared when it is first used"),
        (["verify", "glyphs"], "nothing to verify"),
        (["verify", "FC100"], "FC100 is not prepared in"),
        (["info", "tieredImageNet"], "harness data prepare tieredImageNet --source PATH"),
        (["info", "CIFAR-FS", "--image-size", "84"], "CIFAR-FS has images of 32 pixels, not 84"),
        (["info", "folder:nowhere"], "there is no file or folder nowhere"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--data-root", tmp_path) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert left_behind(tmp_path) == []


def test_an_empty_source_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run("prepare", "FC100", "--source", tmp_path / "empty", "--data-root", tmp_path / "root") == 2
    assert "it is empty" in capsys.readouterr().err


def command(source: Path, root: Path) -> list[str]:
    where = ["--source", str(source), "--data-root", str(root)]
    return [sys.executable, "-m", "harness.cli.main", "data", "prepare", "CIFAR-FS", *where]


def test_killed_half_way_nothing_is_prepared_and_the_same_command_succeeds(small_cifar: Path, tmp_path: Path) -> None:
    staging = tmp_path / ".CIFAR-FS.preparing"
    with subprocess.Popen(command(small_cifar, tmp_path), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not staging.exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert staging.exists()
    assert not (tmp_path / "CIFAR-FS").exists()
    subprocess.run(command(small_cifar, tmp_path), check=True, capture_output=True)
    assert left_behind(tmp_path) == ["CIFAR-FS"]
    assert run("verify", "CIFAR-FS", "--data-root", tmp_path) == 0


def test_two_at_once_prepare_it_once_and_both_succeed(small_cifar: Path, tmp_path: Path) -> None:
    both = [subprocess.Popen(command(small_cifar, tmp_path), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("200 images from" in text for text in told) == 1
    assert left_behind(tmp_path) == ["CIFAR-FS"]
    assert run("verify", "CIFAR-FS", "--data-root", tmp_path) == 0


def test_omniglot_is_split_by_characters_small_grey_and_inverted(tmp_path: Path) -> None:
    paper = Image.new("1", (105, 105), 1)
    paper.paste(0, (40, 10, 60, 90))  # a black stroke
    for part, character in (
        ("images_background", "Latin/character03"),
        ("images_background", "Armenian/character41"),
        ("images_evaluation", "Gurmukhi/character42"),
        ("images_background", "Gurmukhi/character41"),
    ):
        folder = tmp_path / "source" / part / character
        folder.mkdir(parents=True)
        for number in range(2):
            paper.putpixel((number, 0), 0)
            paper.save(folder / f"0{number}.png")
    for part in ("images_background", "images_evaluation"):  # as they are downloaded
        make.packed(tmp_path / "source" / part, ".zip")
    zips = tmp_path / "zips"
    zips.mkdir()
    for path in (tmp_path / "source").glob("*.zip"):
        path.rename(zips / path.name)
    for place in (tmp_path / "source", zips):
        assert run("prepare", "Omniglot", "--source", place, "--data-root", tmp_path / place.name) == 0
    dataset = open_dataset(OMNIGLOT, DataRequest(tmp_path / "zips"))
    assert dataset.fingerprint == open_dataset(OMNIGLOT, DataRequest(tmp_path / "source")).fingerprint
    assert dataset.train is not None
    assert dataset.test is not None
    assert set(dataset.train.class_names) == {"Latin/character03", "Gurmukhi/character41"}
    assert dataset.test.class_names == ("Gurmukhi/character42",)
    assert dataset.test.images.shape == (2, 28, 28, 1)
    assert dataset.test.images[0, 14, 13, 0] == 255
    assert dataset.test.images[0, 14, 2, 0] == 0


def test_an_interrupted_command_is_tidied_up(small_cifar: Path, tmp_path: Path) -> None:
    staging = tmp_path / ".CIFAR-FS.preparing"
    with subprocess.Popen(command(small_cifar, tmp_path), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not staging.exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode in (130, 0)  # 0: it was faster
    if process.returncode:
        assert said.splitlines()[-1] == "harness: interrupted. The same command goes on where it stopped"
    assert left_behind(tmp_path) in ([], ["CIFAR-FS"])


# ── the real thing ────────────────────────────────────────────────────────────────────────────────


def test_the_real_cifar_fs_is_complete(cifar_fs_root: Path) -> None:  # noqa: F811
    dataset = open_dataset(CIFAR_FS, DataRequest(cifar_fs_root))
    assert dataset.notes == ()
    found = {split.name: (split.n_classes, len(split)) for split in dataset.splits}
    assert found == CIFAR_FS.counts
    assert all((np.bincount(split.labels) == 600).all() for split in dataset.splits)
    assert run("verify", "CIFAR-FS", "--data-root", cifar_fs_root) == 0


@pytest.mark.parametrize("form", ["MetaOptNet pickles, numbered at random", "official pickles"])
def test_the_real_cifar_fs_has_one_fingerprint_in_every_form(
    cifar_fs_root: Path,  # noqa: F811
    form: str,
    tmp_path: Path,
) -> None:
    first = open_dataset(CIFAR_FS, DataRequest(cifar_fs_root))
    source = tmp_path / "source"
    source.mkdir()
    rng = np.random.default_rng(0)
    if form == "official pickles":
        images = {
            name: np.asarray(split.images[split.labels == label])
            for split in first.splits
            for label, name in enumerate(split.class_names)
        }
        make.cifar100_python(source, images, published("CIFAR-FS"), protocol=4)
    else:
        import pickle

        for split in first.splits:
            order, numbers = rng.permutation(len(split)), rng.permutation(1000)
            table = {"data": split.images[order], "labels": numbers[split.labels[order]].tolist()}
            (source / f"{split.name}.pickle").write_bytes(pickle.dumps(table, protocol=4))
    assert run("prepare", "CIFAR-FS", "--source", source, "--data-root", tmp_path / "root") == 0
    assert open_dataset(CIFAR_FS, DataRequest(tmp_path / "root")).fingerprint == first.fingerprint


def test_a_real_copy_of_tiered_imagenet_is_partial_and_named_by_synset(tmp_path: Path) -> None:
    archive = SHARED / "data" / "tiered-imagenet-small.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is absent: the real images are needed for this test")
    assert run("prepare", "tieredImageNet", "--source", archive, "--data-root", tmp_path) == 0
    dataset = open_dataset(TIERED, DataRequest(tmp_path))
    assert [split.n_classes for split in dataset.splits] == [61, 17, 45]
    assert dataset.notes == (
        "partial data (61 of 351 base classes, 17 of 97 validation classes, 45 of 160 novel classes, "
        "2,460 of 779,165 images)",
    )
    listed = {each.name: each.split for each in published("tieredImageNet").classes}
    assert all(listed[name] == split.name for split in dataset.splits for name in split.class_names)


def test_preparation_and_opening_import_no_torch(small_cifar: Path, tmp_path: Path) -> None:
    prepare = ["data", "prepare", "CIFAR-FS", "--source", str(small_cifar), "--data-root", str(tmp_path)]
    info = ["data", "info", "CIFAR-FS", "--data-root", str(tmp_path)]
    code = (
        "import sys; from harness.cli.main import main; "
        f"assert main({prepare}) == 0; assert main({info}) == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=dict(os.environ))

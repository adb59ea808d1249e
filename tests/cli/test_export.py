"""harness export: a file from a run folder, and one line where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from harness.cli.main import main


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A bench of the pixels of ten classes, five of them for the test."""
    images = tmp_path_factory.mktemp("images")
    for label in range(10):
        (images / f"class{label}").mkdir()
        for number in range(8):
            pixels = np.random.default_rng([label, number]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / f"class{label}" / f"{number}.png")
    folder = str(tmp_path_factory.mktemp("export") / "runs")
    data = ["--dataset", f"folder:{images}", "--image-size", "16", "--split", "0/50/50"]
    bench = ["bench", "--methods", "pixels", "--no-floors", *data, "--episodes", "2", "--shots", "1", "--queries", "5"]
    assert main([*bench, "--executor", "inline", "--threads", "1", "--device", "cpu", "--output", folder]) == 0
    return folder


def export(folder, *arguments):
    return main(["export", "features", folder, *map(str, arguments)])


def test_each_image_of_a_split_has_a_row(run_folder, tmp_path, capsys):
    assert export(run_folder, "--row", "pixels", "--output", tmp_path / "f.npz", "--split", "val") == 0
    with np.load(tmp_path / "f.npz") as file:
        n, width = file["embeddings"].shape
        assert (n, width) == (40, 16 * 16 * 3)
        assert file["hashes"].shape == (n, 32)
        assert str(file["split"]) == "val"
    assert f"{n:,} embeddings of {width} numbers, of the val split by pixels, seed 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--row", "pixel", "--output", "f.npz"), "unknown row 'pixel'. Did you mean 'pixels'?"),
        (("--row", "pixels", "--seed", "3", "--output", "f.npz"), "unknown seed of pixels '3'"),
        (("--row", "pixels", "--dataset", "glyph", "--output", "f.npz"), "unknown dataset of this bench 'glyph'"),
        (("--row", "pixels", "--split", "tests", "--output", "f.npz"), "unknown split of folder:"),
        (("--row", "pixels", "--output", "f.csv"), "end in .npz, .safetensors, .parquet"),
        (("--row", "pixels", "--output", "absent/deep/f.npz"), "cannot write"),
    ],
)
def test_what_is_not_there_is_one_line(run_folder, tmp_path, monkeypatch, capsys, arguments, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "absent").write_text("a file where a folder is needed")
    capsys.readouterr()
    assert export(run_folder, *arguments) == 2
    line = capsys.readouterr().err
    assert reason in line
    assert line.count("\n") == 1
    assert not (tmp_path / "f.npz").exists()

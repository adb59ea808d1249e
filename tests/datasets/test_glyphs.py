"""The embedded dataset: the promised counts, the same pixels every time, and a cache that is not needed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from harness.contract.data import DataRequest, Dataset
from harness.datasets import open_dataset
from harness.datasets.benchmarks.glyphs import ALPHABETS, GLYPHS


@pytest.fixture(scope="module")
def glyphs() -> Dataset:
    return open_dataset(GLYPHS, DataRequest(Path()))


def test_counts_are_as_published(glyphs: Dataset) -> None:
    found = {split.name: (split.n_classes, len(split)) for split in glyphs.splits}
    assert found == {"train": (153, 153 * 36), "val": (25, 25 * 36), "test": (109, 109 * 36)} == GLYPHS.counts
    for split in glyphs.splits:
        assert split.images.shape[1:] == (32, 32, 3)
        assert split.images.dtype == np.uint8
        assert (np.bincount(split.labels) == 36).all()


def test_the_alphabets_are_the_ranges_that_make_these_counts() -> None:
    sizes = {split: [last - first + 1 for first, last in ranges] for split, ranges in ALPHABETS.items()}
    assert sizes == {"train": [64, 89], "val": [25], "test": [38, 38, 33]}


def test_every_character_is_drawn_and_drawn_differently(glyphs: Dataset) -> None:
    for split in glyphs.splits:
        images = np.asarray(split.images)
        assert (images.max(axis=(1, 2, 3)) > 150).all()
        assert len({image.tobytes() for image in images}) >= len(images) - 2
        spread = images.reshape(split.n_classes, 36, -1).std(axis=1).mean(axis=1)
        assert (spread > 1).all()


def test_the_stated_mean_and_deviation_are_those_of_the_base_images(glyphs: Dataset) -> None:
    assert glyphs.train is not None
    scaled = np.asarray(glyphs.train.images) / 255
    assert np.allclose(scaled.mean(axis=(0, 1, 2)), GLYPHS.mean, atol=2e-3)
    assert np.allclose(scaled.std(axis=(0, 1, 2)), GLYPHS.std, atol=2e-3)


def test_raw_pixels_are_a_weak_baseline_but_above_chance(glyphs: Dataset) -> None:
    """5-way 1-shot, nearest support image in pixels: about 29 %, where chance is 20 %."""
    assert glyphs.test is not None
    rows = np.asarray(glyphs.test.images[..., 0], dtype=np.float32).reshape(109, 36, -1)
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        classes = rng.choice(109, 5, replace=False)
        places = np.stack([rng.permutation(36)[:16] for _ in classes])
        chosen = np.take_along_axis(rows[classes], places[..., None], axis=1)  # (5, 16, 1024)
        distances = np.square(chosen[:, 1:, None] - chosen[None, None, :, 0]).sum(-1)  # (5, 15, 5)
        hits.append((distances.argmin(-1) == np.arange(5)[:, None]).mean())
    assert 0.24 < np.mean(hits) < 0.36


def test_an_unwritable_cache_gives_the_same_dataset_with_a_warning(
    glyphs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING, "harness"):
        again = open_dataset(GLYPHS, DataRequest(Path()))
    assert again.fingerprint == glyphs.fingerprint
    assert "cannot be written" in caplog.text
    assert again.train is not None
    assert glyphs.train is not None
    assert np.array_equal(again.train.images, glyphs.train.images)


def test_a_damaged_cache_is_rendered_anew(glyphs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    open_dataset(GLYPHS, DataRequest(Path()))
    index = next(tmp_path.glob("glyphs-*/dataset.json"))
    index.write_text("{")
    assert open_dataset(GLYPHS, DataRequest(Path())).fingerprint == glyphs.fingerprint
    assert len(index.read_text()) > 1000

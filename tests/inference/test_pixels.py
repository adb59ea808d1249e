"""harness/inference/pixels.py: images in any of the forms that people have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from harness.common.errors import DataError
from harness.inference.pixels import classes_in, labelled, names_of, pixels


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def test_the_same_images_in_every_form_are_the_same_pixels(images, tmp_path):
    for n, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    forms = [
        tmp_path,
        sorted(tmp_path.iterdir()),
        [Image.fromarray(image) for image in images],
        images,
        images / 255,
        (images / 255).astype(np.float32),
        torch.from_numpy(images).permute(0, 3, 1, 2),
        torch.from_numpy(images).permute(0, 3, 1, 2) / 255,
    ]
    for form in forms:
        np.testing.assert_array_equal(pixels(form, 8, 3), images)
    assert names_of(tmp_path, 4) == ["0.png", "1.png", "2.png", "3.png"]


def test_another_size_is_resized_as_datasets_are_prepared(images):
    expected = [np.asarray(Image.fromarray(image).resize((5, 5), Image.Resampling.BICUBIC)) for image in images]
    np.testing.assert_array_equal(pixels(images, 5, 3), expected)


def test_grey_and_colour_become_each_other(images):
    grey = pixels(images, 8, 1)
    np.testing.assert_array_equal(grey[..., 0], [np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(pixels(grey, 8, 3), grey.repeat(3, axis=3))
    np.testing.assert_array_equal(pixels(grey[..., 0], 8, 1), grey)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (np.zeros((2, 3, 8, 8), np.uint8), r"\(N, H, W, C\)"),
        (np.full((1, 8, 8, 3), 255.0), "floats from 255 to 255"),
        (np.full((1, 8, 8, 3), -0.1), "normalised already"),
        (np.full((1, 8, 8, 3), np.nan), "floats from nan"),
        (np.zeros((1, 8, 8, 3), np.int64), "images of int64"),
        ([], "there are no images"),
        ([3], "a int is no image"),
        (["nothing.png"], "cannot read nothing.png"),
    ],
)
def test_what_would_give_wrong_features_is_refused(form, message):
    with pytest.raises(DataError, match=message):
        pixels(form, 8, 3)


def test_examples_lie_in_a_folder_a_class(images, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(images[0]).save(tmp_path / name / "a.PNG")
    (tmp_path / ".hidden").mkdir()
    assert {name: len(files) for name, files in classes_in(tmp_path).items()} == {"cat": 1, "dog": 1}
    assert {*labelled({"cat": images[:1], 2: Image.fromarray(images[0])})} == {"cat", "2"}
    (tmp_path / "empty").mkdir()
    for wrong, message in ((tmp_path, "holds no image"), (tmp_path / "cat", "0 folders"), ({"cat": images}, "two or")):
        with pytest.raises(DataError, match=message):
            labelled(wrong)

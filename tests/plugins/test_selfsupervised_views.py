"""plugins/selfsupervised: the distorted views show what SimCLR's may show, drawn from their generator alone."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from harness_selfsupervised.distortion import Distortion, greyscale, turn_hue

SIZE = 32


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def noise():
    return torch.randint(0, 256, (40, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator())


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_pixels_of_the_images_shape(channels):
    images = torch.randint(0, 256, (6, SIZE, SIZE, channels), dtype=torch.uint8, generator=generator())
    views = Distortion()(images, generator(1))
    assert views.shape == images.shape
    assert 0 <= float(views.min()) < float(views.max()) <= 255


def test_the_generator_alone_decides_the_views(noise):
    before = torch.random.get_rng_state()
    first, second, other = (Distortion()(noise, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (
        len({tuple(view.flatten().tolist()) for view in Distortion()(noise[:1].expand(5, -1, -1, -1), generator())})
        == 5
    )


def test_without_crop_jitter_and_flip_an_image_stays_as_it_is(noise):
    stretched = Distortion(smallest_crop=1.0, jitter=0.0, flip=False)(noise, generator())
    error = (stretched - noise.float()).abs().amax((1, 2, 3))
    assert float(error.min()) < 200  # only the ratio of the sides varies
    constant = torch.full((3, SIZE, SIZE, 3), 77, dtype=torch.uint8)
    torch.testing.assert_close(Distortion(jitter=0.0)(constant, generator()), constant.float())


def test_a_crop_shows_at_least_its_share_of_the_image_in_a_ratio_of_at_most_4_to_3():
    """On an image whose pixels say where they are, the slopes of a view are the sides of its crop."""
    place = torch.arange(SIZE, dtype=torch.uint8) * 4
    images = torch.stack([place.expand(SIZE, -1), place[:, None].expand(-1, SIZE), place.expand(SIZE, -1)], -1)
    views = Distortion(smallest_crop=0.2, jitter=0.0)(images.expand(500, -1, -1, -1), generator()) / 4
    middle = slice(SIZE // 4, -SIZE // 4)
    slopes = [
        np.median(np.diff(views[..., channel].numpy(), axis=axis)[:, middle, middle], axis=(1, 2))
        for channel, axis in ((0, 2), (1, 1))
    ]
    width, height = np.abs(slopes)
    assert (width * height).min() > 0.19
    assert (width * height).min() < 0.3
    assert (width * height).max() > 0.85
    ratio = np.maximum(width / height, height / width)
    assert 1.2 < ratio.max() < 4 / 3 + 0.01
    assert 0.4 < np.mean(slopes[0] < 0) < 0.6  # mirrored
    assert (slopes[1] > 0).all()
    upright = Distortion(smallest_crop=0.2, jitter=0.0, flip=False)(images.expand(50, -1, -1, -1), generator())
    assert (np.diff(upright[..., 0].numpy(), axis=2)[:, middle, middle] > 0).all()


def test_a_fifth_of_the_views_is_grey():
    image = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    image[..., 0] = 200
    views = Distortion()(image.expand(1000, -1, -1, -1), generator())
    grey = (views.amax(3) - views.amin(3)).amax((1, 2)) < 1e-3
    assert 0.15 < float(grey.float().mean()) < 0.25


def test_a_fifth_of_the_views_keeps_its_colours():
    image = torch.full((1, SIZE, SIZE, 3), 100, dtype=torch.uint8)
    views = Distortion()(image.expand(1000, -1, -1, -1), generator())
    kept = (views - 100).abs().amax((1, 2, 3)) < 0.01
    assert 0.15 < float(kept.float().mean()) < 0.25


@pytest.mark.parametrize("turn", [0.0, 0.1, -0.25, 0.5])
def test_hue_turns_as_in_yiq(turn):
    colours = torch.rand(20, 3, generator=generator())
    turned = turn_hue(colours[:, :, None, None], torch.full((20,), turn))[:, :, 0, 0]
    for before, after in zip(colours.tolist(), turned.tolist(), strict=True):
        (y, i, q), found = colorsys.rgb_to_yiq(*before), colorsys.rgb_to_yiq(*after)
        angle = 2 * math.pi * turn
        expected = (y, i * math.cos(angle) - q * math.sin(angle), i * math.sin(angle) + q * math.cos(angle))
        assert found == pytest.approx(expected, abs=0.02)
    torch.testing.assert_close(
        greyscale(turned[:, :, None, None]), greyscale(colours[:, :, None, None]), atol=1e-3, rtol=0
    )

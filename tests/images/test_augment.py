"""Batched augmentation against torchvision's, image by image; rotations on images that have no symmetry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract.data import Augmentation
from harness.images.augment import Augmenter, Parameters, crop_and_flip, enlarge, normalise
from harness.images.rotations import rotate, rotations4

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
EVERYTHING = Augmentation(crop_padding=4, jitter=0.4, flip=True)
JITTERS = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def some_images(n: int = 24, size: int = 32, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.integers(0, 256, (n, size, size, channels), dtype=np.uint8))


def draw(augmentation: Augmentation, n: int, seed: int = 0, channels: int = 3) -> tuple[Augmenter, Parameters]:
    augmenter = Augmenter(augmentation, MEAN[:channels], STD[:channels])
    return augmenter, augmenter.draw(n, torch.Generator().manual_seed(seed))


def crop_by_torchvision(image: torch.Tensor, parameters: Parameters, i: int, padding: int) -> torch.Tensor:
    """Image i, (H, W, C) uint8, cropped and flipped: (C, H, W) uint8."""
    height, width, _ = image.shape
    padded = reference.pad(image.permute(2, 0, 1), [padding])
    cropped = reference.crop(padded, int(parameters.rows[i]), int(parameters.cols[i]), height, width)
    return reference.hflip(cropped) if parameters.flips[i] else cropped


@pytest.mark.parametrize("size", [28, 84])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "augmentation",
    [EVERYTHING, Augmentation(4), Augmentation(flip=True), Augmentation(jitter=0.9), Augmentation()],
    ids=str,
)
def test_augmentation_agrees_with_torchvision_image_by_image(augmentation, size: int, channels: int):
    images = some_images(size=size, channels=channels)
    augmenter, parameters = draw(augmentation, len(images), channels=channels)
    changed = augmenter.apply(images, parameters)
    assert changed.shape == (len(images), channels, size, size)
    assert changed.dtype == torch.float32
    assert changed.is_contiguous(memory_format=torch.channels_last)
    for i, image in enumerate(images):
        expected = crop_by_torchvision(image, parameters, i, augmentation.crop_padding).float() / 255
        if augmentation.jitter:
            for kind in parameters.order[i].tolist():
                expected = JITTERS[kind](expected, float(parameters.factors[i, kind]))
        expected = reference.normalize(expected, list(MEAN[:channels]), list(STD[:channels]))
        torch.testing.assert_close(changed[i], expected, rtol=0, atol=2e-5)


def test_jitter_stays_within_a_few_grey_levels_of_the_authors_uint8_transforms():
    images = some_images()
    augmenter, parameters = draw(Augmentation(jitter=0.4), len(images))
    changed = augmenter.apply(images, parameters) * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    for i, image in enumerate(images.permute(0, 3, 1, 2)):
        for kind in parameters.order[i].tolist():
            image = JITTERS[kind](image, float(parameters.factors[i, kind]))
        assert float((changed[i] * 255 - image).abs().max()) < 6  # it truncates three times, by 1 before a factor


def test_an_enlarged_crop_shows_its_part_of_a_ramp():
    """On a plane of slope 1 bilinear sampling is exact: pixel j of the crop lies at its own place of the image."""
    height, width = 16, 24
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    image = torch.stack([rows, columns])[None]
    box = torch.tensor([[0.5, 0.25, 0.3, 0.6]])  # 8 rows from 4.8, 6 columns from 14.4
    crop = enlarge(image, box)
    down = 0.3 * height + (torch.arange(height) + 0.5) * 0.5 - 0.5
    across = 0.6 * width + (torch.arange(width) + 0.5) * 0.25 - 0.5
    torch.testing.assert_close(crop[0, 0], down[:, None].expand(height, width), rtol=0, atol=1e-4)
    torch.testing.assert_close(crop[0, 1], across.expand(height, width), rtol=0, atol=1e-4)


def test_strong_crops_keep_to_their_area_and_aspect_and_lie_within_the_image():
    _, parameters = draw(EVERYTHING.at("strong"), 20_000)
    height, width, top, left = parameters.boxes.unbind(dim=1)
    assert 0.35 * 0.99 < float((height * width).min()) < 0.36
    assert float((height * width).max()) > 0.95
    aspect = width / height
    assert 0.74 < float(aspect.min()) < 0.8
    assert 1.25 < float(aspect.max()) < 1.34
    assert float(torch.minimum(top, left).min()) >= 0
    assert float(torch.maximum(top + height, left + width).max()) <= 1 + 1e-6
    assert 0.18 < float(parameters.greys.float().mean()) < 0.22


def test_grey_images_have_equal_channels_and_the_others_do_not():
    images = some_images(40)
    augmenter, parameters = draw(Augmentation(grey=0.5), len(images))
    std, mean = torch.tensor(STD)[:, None, None], torch.tensor(MEAN)[:, None, None]
    changed = augmenter.apply(images, parameters) * std + mean
    equal = (changed - changed[:, :1]).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 10 < int(parameters.greys.sum()) < 30
    assert torch.equal(equal, parameters.greys)


def test_strength_none_changes_nothing_and_letters_stay_letters():
    letters = Augmentation(crop_padding=2, rotation_keeps_class=False)
    assert letters.at("standard") == letters
    assert letters.at("none") == Augmentation(rotation_keeps_class=False)
    strong = letters.at("strong")
    assert (strong.flip, strong.grey, strong.jitter, strong.rotation_keeps_class) == (False, 0.0, 0.0, False)
    assert EVERYTHING.at("strong").jitter == 0.8


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), padding=st.integers(0, 9), size=st.integers(1, 13))
def test_views_are_crops_and_flips_of_the_padded_image(seed: int, padding: int, size: int):
    images = some_images(3, size, seed=seed)
    _, parameters = draw(Augmentation(padding, flip=True), 3, seed)
    seen = crop_and_flip(images, parameters.rows, parameters.cols, parameters.flips, padding)
    assert seen.dtype == torch.uint8
    for i, image in enumerate(images):
        assert torch.equal(seen[i].permute(2, 0, 1), crop_by_torchvision(image, parameters, i, padding))


def test_crops_of_images_that_are_not_square():
    images = some_images(3, 7)[:, :, :5]
    rows, cols, flips = torch.tensor([[0, 2, 4], [4, 2, 1], [0, 1, 1]])
    seen = crop_and_flip(images, rows, cols, flips.bool(), 2)
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    assert torch.equal(seen[0], padded[0, 0:7, 4:9])
    assert torch.equal(seen[1], images[1].flip(1))
    assert torch.equal(seen[2], padded[2, 4:11, 1:6].flip(1))


def test_the_view_in_the_middle_is_the_image_itself():
    images, middle = some_images(), torch.full((24,), 4)
    assert torch.equal(crop_and_flip(images, middle, middle, torch.zeros(24, dtype=torch.bool), 4), images)


def test_processes_that_share_a_batch_see_what_one_process_sees():
    images = some_images()
    augmenter, parameters = draw(EVERYTHING, len(images))
    whole = augmenter.apply(images, parameters)
    halves = [augmenter.apply(images[half], parameters[half]) for half in (slice(0, 12), slice(12, 24))]
    assert len(parameters[:12]) == 12
    assert torch.equal(torch.cat(halves), whole)


@pytest.mark.parametrize("size", [8, 200])  # many batches at once; one at a time
def test_a_stream_gives_each_batch_as_if_alone(size: int):
    batches = [(some_images(6, size, seed=i), torch.full((6,), i)) for i in range(5)]
    augmenter, parameters = draw(EVERYTHING, 30)
    streamed = list(augmenter.stream(iter(batches), parameters))
    assert len(streamed) == 5
    for i, (changed, labels) in enumerate(streamed):
        assert labels.tolist() == [i] * 6
        assert changed.is_contiguous(memory_format=torch.channels_last)
        alone = augmenter.apply(batches[i][0], parameters[6 * i : 6 * i + 6])
        torch.testing.assert_close(changed, alone, rtol=0, atol=1e-6)


def test_parameters_are_drawn_evenly_over_their_ranges():
    _, parameters = draw(EVERYTHING, 60_000)
    for edge in (parameters.rows, parameters.cols):
        counts = torch.bincount(edge, minlength=9)
        assert len(counts) == 9
        assert counts.min() > 60_000 / 9 * 0.95
    assert float(parameters.flips.float().mean()) == pytest.approx(0.5, abs=0.01)
    assert parameters.factors.min() >= 0.6
    assert parameters.factors.max() <= 1.4
    assert float(parameters.factors.mean()) == pytest.approx(1, abs=0.005)
    orders, counts = parameters.order.unique(dim=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 10_000 * 0.95


def test_what_is_not_asked_for_is_not_drawn():
    _, parameters = draw(Augmentation(), 100)
    assert not parameters.flips.any()
    assert not parameters.rows.any()
    assert (parameters.factors == 1).all()


def test_a_setting_does_not_shift_the_random_numbers_of_another():
    _, with_jitter = draw(EVERYTHING, 50)
    _, without = draw(Augmentation(crop_padding=4, flip=True), 50)
    assert torch.equal(with_jitter.rows, without.rows)
    assert torch.equal(with_jitter.flips, without.flips)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalise_agrees_with_torchvision(channels: int):
    images = some_images(channels=channels)
    mean, std = torch.tensor(MEAN[:channels]), torch.tensor(STD[:channels])
    expected = reference.normalize(images.permute(0, 3, 1, 2).float() / 255, mean.tolist(), std.tolist())
    normalised = normalise(images, mean, std)
    torch.testing.assert_close(normalised, expected, rtol=0, atol=1e-5)
    assert normalised.is_contiguous(memory_format=torch.channels_last)


# ── rotations ─────────────────────────────────────────────────────────────────────────────────────


def asymmetric(n: int = 4) -> torch.Tensor:
    """Images (N, 2, 3, 3) without any symmetry, each pixel another number."""
    return torch.arange(n * 18.0).view(n, 2, 3, 3)


def test_a_quarter_turn_is_counter_clockwise():
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    assert rotate(image, 1)[0, 0].tolist() == [[2, 4], [1, 3]]
    assert rotate(image, 2)[0, 0].tolist() == [[4, 3], [2, 1]]
    assert rotate(image, 3)[0, 0].tolist() == [[3, 1], [4, 2]]


def test_each_image_can_turn_its_own_way():
    turned = rotate(asymmetric(), torch.tensor([0, 3, 1, 2]))
    for i, turns in enumerate([0, 3, 1, 2]):
        assert np.array_equal(turned[i].numpy(), np.rot90(asymmetric()[i].numpy(), turns, (1, 2)))


def test_four_rotations_come_in_the_order_of_their_labels():
    images = asymmetric(3)
    turned = rotations4(images)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    labels = torch.arange(4).repeat_interleave(3)
    for image, source, turns in zip(turned, images.repeat(4, 1, 1, 1), labels.tolist(), strict=True):
        assert np.array_equal(image.numpy(), np.rot90(source.numpy(), turns, (1, 2)))


@needs_cuda
def test_the_gpu_agrees_with_the_processor_and_waits_for_nothing():
    images = some_images(size=84)
    augmenter, parameters = draw(EVERYTHING, len(images))
    expected = augmenter.apply(images, parameters)
    moved = Parameters(*(value.cuda() for value in vars(parameters).values()))
    images = images.cuda()
    generator = torch.Generator("cuda").manual_seed(0)
    augmenter.apply(images, augmenter.draw(len(images), generator))
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmenter.draw(len(images), generator)
        changed = rotations4(augmenter.apply(images, moved))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(changed[: len(images)].cpu(), expected, rtol=0, atol=2e-5)

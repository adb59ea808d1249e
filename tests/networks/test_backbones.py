"""Backbones: the sizes that the literature names, DropBlock by hand, weights from files, timm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from harness.common.errors import HarnessError
from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.networks.backbones import SPECS
from harness.networks.backbones.dropblock import DropBlock, covered_as_reference, follow_reference, restart_schedules
from harness.networks.backbones.layers import ConvolutionsAndNorms, MaxPool

BUILD = {spec.name: spec.build for spec in SPECS}
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def build(name: str, size: int = 32, channels: int = 3, argument: str | None = None) -> torch.nn.Module:
    with seeded(0, name):
        return BUILD[name](BackboneRequest(size, channels, argument))


def n_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_importing_the_specs_imports_no_torch():
    modules = "harness.networks.backbones, harness.catalogue.floors, harness.hardware.hardware"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(("name", "count"), [("conv4", 113_088), ("conv4-gap", 113_088), ("resnet12", 12_424_320)])
def test_parameter_counts_are_the_published_ones(name: str, count: int):
    assert n_parameters(build(name)) == count


@pytest.mark.parametrize(
    ("name", "size", "sides", "n_features"),
    [
        ("conv4", 28, (14, 7, 3, 1), 64),
        ("conv4", 32, (16, 8, 4, 2), 256),
        ("conv4", 84, (42, 21, 10, 5), 1600),
        ("resnet12", 28, (14, 7, 3, 1), 640),
        ("resnet12", 32, (16, 8, 4, 2), 640),
        ("resnet12", 84, (42, 21, 10, 5), 640),
    ],
)
def test_maps_halve_four_times_and_features_have_the_known_size(name, size, sides, n_features):
    network = build(name, size)
    widths = (64, 64, 64, 64) if name == "conv4" else (64, 160, 320, 640)
    maps = torch.randn(2, 3, size, size)
    for block, width, side in zip(network.blocks, widths, sides, strict=True):
        maps = block(maps)
        assert maps.shape == (2, width, side, side)
    assert network(torch.randn(2, 3, size, size)).shape == (2, n_features)
    assert network.n_features == n_features


@pytest.mark.parametrize(("size", "side"), [(32, 4), (84, 10), (8, 1)])
def test_conv4_gap_averages_the_maps_of_a_fourth_block_without_pooling(size: int, side: int):
    """RFS's Conv-4, by hand: three blocks with pooling, a fourth without, the mean over its map."""
    network, images = build("conv4-gap", size).eval(), torch.randn(2, 3, size, size)
    maps = images
    for i, block in enumerate(network.blocks):
        maps = block[1](block[0](maps)).relu()
        maps = torch.nn.functional.max_pool2d(maps, 2) if i < 3 else maps
    assert maps.shape == (2, 64, side, side)
    with torch.inference_mode():
        features = network(images)
    assert features.shape == (2, 64)
    assert network.n_features == 64
    torch.testing.assert_close(features, maps.detach().flatten(2).mean(2), rtol=1e-4, atol=1e-5)


def activated_before_pooling(name, network, images):
    """What the papers write: the activation, then the pooling."""
    maps = images
    for block in network.blocks:
        if name == "conv4":
            convolution, normalise, pool, _ = block
            maps = pool(normalise(convolution(maps)).relu())
        else:
            both = block.path(maps) + block.shortcut(maps)
            maps = block.drop(block.pool(torch.nn.functional.leaky_relu(both, 0.1)))
    return maps


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_pooling_before_the_activation_changes_neither_value_nor_gradient(name: str):
    network, images = build(name).train(), torch.randn(8, 3, 32, 32)
    found = []
    for forward in (lambda: network.blocks(images), lambda: activated_before_pooling(name, network, images)):
        torch.manual_seed(0)  # of the dropout
        network.zero_grad()
        maps = forward()
        maps.square().sum().backward()
        found.append([maps, *(weight.grad.clone() for weight in network.parameters() if weight.grad is not None)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_batchnorm_within_its_convolution_changes_no_value(bias: bool):
    layers = nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8)
    plain, ours = nn.Sequential(*layers), ConvolutionsAndNorms(*layers)
    images = torch.randn(4, 3, 9, 9)
    for _ in range(3):
        plain(images + 1)  # moves the statistics off their start
    with torch.no_grad():
        for weight in plain.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        torch.testing.assert_close(ours.eval()(images), plain.eval()(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [2, 5, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_of_pooling_are_torchs(side: int, dtype: torch.dtype):
    maps = torch.randn(2, 3, side, side).to(dtype)
    expected = torch.nn.functional.max_pool2d(maps, 2)
    assert torch.equal(MaxPool()(maps), expected)
    assert torch.equal(MaxPool()(maps.requires_grad_()), expected)


@pytest.mark.parametrize("name", ["conv4", "conv4-gap", "resnet12"])
def test_one_channel_images_are_taken(name: str):
    assert build(name, channels=1)(torch.randn(2, 1, 32, 32)).isfinite().all()


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_too_small_images_are_refused_in_one_line(name: str):
    with pytest.raises(HarnessError, match=f"{name} needs images of at least 16×16 pixels, not 15×15"):
        build(name, 15)


def test_conv4_gap_takes_images_down_to_eight_pixels():
    with pytest.raises(HarnessError, match="conv4-gap needs images of at least 8×8 pixels, not 7×7"):
        build("conv4-gap", 7)


@pytest.mark.parametrize("name", ["conv4", "conv4-gap", "resnet12"])
def test_the_memory_format_does_not_change_features(name: str):
    network, images = build(name).eval(), torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        expected = network(images)
        channels_last = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, expected, rtol=1e-4, atol=1e-4)


# ── DropBlock ─────────────────────────────────────────────────────────────────────────────────────


def dropblock_by_hand(maps: np.ndarray, uniform: np.ndarray, step: int, drop_rate: float, block: int) -> np.ndarray:
    """The published algorithm, a square at a time. ``uniform`` (N, H', W', C) decides where squares start."""
    height, width = maps.shape[2:]
    block = min(block, height, width)
    keep_rate = max(1 - drop_rate / 40_000 * step, 1 - drop_rate)
    gamma = (1 - keep_rate) / block**2 * height * width / ((height - block + 1) * (width - block + 1))
    mask = np.ones(maps.shape)
    for image, row, col, channel in np.argwhere(uniform < gamma):
        mask[image, channel, row : row + block, col : col + block] = 0
    return maps * mask * mask.size / mask.sum()


@pytest.mark.parametrize(
    ("side", "block", "step"),
    [(4, 2, 20_000), (2, 2, 40_000), (10, 5, 40_000), (5, 5, 10_000), (1, 2, 90_000), (3, 2, 1)],
)
def test_dropblock_agrees_with_the_algorithm_by_hand(side: int, block: int, step: int):
    layer, maps = DropBlock(0.1, block).train(), torch.randn(6, 40, side, side)
    layer.drop_steps.fill_(step - 1)
    with seeded(1, "masks"):
        dropped = layer(maps)
    start = side - min(block, side) + 1
    with seeded(1, "masks"):
        uniform = torch.rand(6, start, start, 40)
    expected = dropblock_by_hand(maps.double().numpy(), uniform.double().numpy(), step, 0.1, block)
    np.testing.assert_allclose(dropped.numpy(), expected, rtol=1e-5)
    if step > 1000:
        assert 0 < (dropped == 0).float().mean() < 0.2


def test_dropblock_counts_training_steps_alone_and_its_state_dict_holds_the_count():
    layer, maps = DropBlock(0.1, 2), torch.randn(2, 3, 4, 4)
    layer.train()(maps)
    layer(maps)
    assert layer.eval()(maps) is maps
    state = layer.state_dict()
    assert int(state["drop_steps"]) == 2
    resumed = DropBlock(0.1, 2)
    resumed.load_state_dict(state)
    resumed.train()(maps)
    assert int(resumed.drop_steps) == 3


def test_the_dropped_share_rises_linearly_to_the_rate_and_stays():
    layer = DropBlock(0.1, 2)
    shares = [float(layer.drop_steps.fill_(step) * 0 + layer.dropped_share()) for step in (0, 10_000, 40_000, 80_000)]
    np.testing.assert_allclose(shares, [0, 0.025, 0.1, 0.1], rtol=1e-6)


def test_dropblock_keeps_the_number_format_of_its_maps():
    maps = torch.ones(64, 32, 4, 4, dtype=torch.bfloat16)
    layer = DropBlock(0.1, 2).train()
    layer.drop_steps.fill_(40_000)
    with seeded(0):
        dropped = layer(maps)
    assert dropped.dtype == torch.bfloat16
    assert float(dropped.float().mean()) == pytest.approx(1, abs=0.01)  # the mean is kept


def test_resnet12_starts_its_schedule_anew_on_request():
    network = build("resnet12").train()
    network(torch.randn(2, 3, 32, 32))
    counts = [int(value) for name, value in network.state_dict().items() if name.endswith("drop_steps")]
    assert counts == [1, 1]
    restart_schedules(network)
    assert [int(value) for name, value in network.state_dict().items() if name.endswith("drop_steps")] == [0, 0]


def dropped_by_pairs(starts: np.ndarray, block: int) -> np.ndarray:
    """What the authors' code drops: entry k pairs square k mod n with offset k mod block², for all n · block² entries.

    Squares are numbered in the order of (image, channel, row, column); where a square starts, shifted by the padding
    (block - 1) // 2, a unit is dropped in any case.
    """
    squares = np.argwhere(starts)
    n, n_offsets, padding = len(squares), block**2, (block - 1) // 2
    dropped = np.zeros((*starts.shape[:2], starts.shape[2] + block - 1, starts.shape[3] + block - 1))
    for image, channel, row, column in squares:
        dropped[image, channel, row + padding, column + padding] = 1
    for k in range(n * n_offsets):
        image, channel, row, column = squares[k % n]
        down, right = divmod(k % n_offsets, block)
        dropped[image, channel, row + down, column + right] = 1
    return dropped


@pytest.mark.parametrize("block", [1, 2, 3, 5])
@pytest.mark.parametrize("n_squares", [0, 1, 2, 4, 5, 6, 8, 9, 10, 25, 27, 50])
def test_reference_masks_are_the_pairs_of_the_authors_code(block: int, n_squares: int):
    rng = np.random.default_rng([block, n_squares])
    starts = np.zeros(3 * 5 * 4 * 6, bool)
    starts[rng.choice(len(starts), n_squares, replace=False)] = True
    starts = starts.reshape(3, 5, 4, 6)
    ours = covered_as_reference(torch.from_numpy(starts), block)
    np.testing.assert_array_equal(ours.numpy(), dropped_by_pairs(starts, block))


@pytest.mark.parametrize(
    ("block", "n_squares", "share"),
    [(2, 9, 1.0), (2, 10, 5 / 8), (2, 12, 7 / 16), (5, 24, 1.0), (5, 30, 5.8 / 25), (5, 25, 1.96 / 25)],
)
def test_squares_have_gaps_where_their_number_shares_a_divisor_with_their_size(block, n_squares, share):
    """Squares far apart: a whole one drops block² units; with a common divisor g, 1 in g of them and one always."""
    starts = torch.zeros(n_squares, 1, 2, 2, dtype=torch.bool)
    starts[:, :, 0, 0] = True
    dropped = covered_as_reference(starts, block).sum() / (n_squares * block**2)
    assert float(dropped) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("block", "side", "channels", "draws", "reference", "whole"),
    [(2, 4, 320, 100, 0.0746, 0.0961), (2, 2, 640, 200, 0.0801, 0.1001), (5, 5, 640, 60, 0.0872, 0.1005)],
)
def test_the_rates_are_those_measured_on_the_authors_code(block, side, channels, draws, reference, whole):
    """Shares of zeros in batches of 64 at the full schedule, measured on the code of RFS (200 draws, se 0.002)."""
    maps = torch.ones(64, channels, side, side)
    for masks, expected, spread in (("reference", reference, 0.031), ("whole", whole, 0.006)):
        layer, shares = DropBlock(0.1, block).train(), []
        follow_reference(layer, masks, 1, 0)
        with seeded(block, masks):
            for _ in range(draws if masks == "reference" else 5):
                layer.drop_steps.fill_(40_000)
                shares.append(float((layer(maps) == 0).float().mean()))
        error = 4 * np.hypot(spread / np.sqrt(len(shares)), 0.0022 if masks == "reference" else 0.0005)
        assert np.mean(shares) == pytest.approx(expected, abs=error)


def shares_of(steps: int, epoch_steps: int, forwards: int) -> np.ndarray:
    """The dropped share in each training step."""
    layer = DropBlock(0.1, 2)
    follow_reference(layer, "reference", epoch_steps, forwards)
    layer.drop_steps = torch.arange(1, steps + 1)
    return layer.dropped_share().numpy()


@pytest.mark.parametrize(
    ("epochs", "epoch_steps", "forwards", "half", "mean"),
    [
        (90, 600, 1200, 0.100, 0.0873),  # RFS, CIFAR-FS
        (90, 562, 1125, 0.100, 0.0865),  # RFS, FC100
        (65, 600, 0, 0.048, 0.0488),  # SKD Gen-0, CIFAR-FS
        (65, 600, 1200, 0.100, 0.0824),  # SKD Gen-1, CIFAR-FS
        (8, 562, 1200, 0.0146, 0.0161),  # SKD Gen-1, FC100
        (8, 600, 1200, 0.0150, 0.0165),  # SKD Gen-1, miniImageNet
    ],
)
def test_the_reference_counter_has_the_rates_of_the_authors_training(epochs, epoch_steps, forwards, half, mean):
    """Measured on the authors' code: the nominal share after half of the epochs, and its mean over the training."""
    shares = shares_of(epochs * epoch_steps, epoch_steps, forwards)
    assert float(shares[epochs // 2 * epoch_steps - 1]) == pytest.approx(half, abs=0.0006)
    assert float(shares.mean()) == pytest.approx(mean, abs=0.0001)


def test_the_reference_counter_goes_on_where_a_counter_of_every_forward_would():
    by_hand, counter = [], 0
    for _ in range(7):
        for _ in range(5):
            counter += 1
            by_hand.append(0.1 * min(counter / 40_000, 1))
        counter += 3000
    np.testing.assert_allclose(shares_of(35, 5, 3000), by_hand, rtol=1e-5)


def test_evaluation_forwards_leave_the_state_as_it_is():
    layer = DropBlock(0.1, 2).train()
    follow_reference(layer, "reference", 2, 100)
    for _ in range(3):
        layer(torch.randn(2, 3, 4, 4))
    assert list(layer.state_dict()) == ["drop_steps"]
    assert int(layer.drop_steps) == 3
    assert float(layer.dropped_share()) == pytest.approx(0.1 * 103 / 40_000)


@pytest.mark.parametrize(("steps", "forwards"), [(0, 5), (3, -1)])
def test_an_impossible_counter_is_refused(steps, forwards):
    with pytest.raises(HarnessError, match=f"{steps} training steps and {forwards} evaluation forwards"):
        follow_reference(build("resnet12"), "whole", steps, forwards)


@needs_cuda
@pytest.mark.parametrize("masks", ["whole", "reference"])
def test_a_training_step_of_resnet12_waits_for_nothing(masks: str):
    network = build("resnet12").cuda().to(memory_format=torch.channels_last).train()
    follow_reference(network, masks, 10, 5)
    images = torch.randn(8, 3, 32, 32, device="cuda")
    network(images).sum().backward()
    network.zero_grad()
    torch.cuda.set_sync_debug_mode("error")
    try:
        network(images).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


# ── timm ──────────────────────────────────────────────────────────────────────────────────────────


@needs_timm
@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_timm_models_embed_small_images(name: str):
    network = build("timm", 32, 3, name)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, network.n_features)


@needs_timm
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "needs a model's name"),
        ("resnt18", "unknown timm model 'resnt18'. Did you mean 'resnet18'"),
        ("inception_v3", "does not take images of 32×32 pixels"),
    ],
)
def test_timm_models_that_cannot_serve_say_why(name: str | None, message: str):
    with pytest.raises(HarnessError, match=message) as error:
        build("timm", 32, 3, name)
    assert "\n" not in str(error.value)

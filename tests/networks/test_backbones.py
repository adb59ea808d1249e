"""Backbones: the sizes that the literature names, and what they do to images."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from harness.common.errors import HarnessError
from harness.networks.backbones.layers import ConvolutionsAndNorms, MaxPool
from tests.helpers.networks import untrained


def n_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_importing_the_specs_imports_no_torch():
    modules = "harness.networks.backbones, harness.catalogue.floors, harness.hardware.hardware"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("name", "count"), [("conv4", 113_088), ("conv4-np", 113_088), ("conv4-gap", 113_088), ("resnet12", 12_424_320)]
)
def test_parameter_counts_are_the_published_ones(name: str, count: int):
    assert n_parameters(untrained(name)) == count


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
    network = untrained(name, size)
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
    network, images = untrained("conv4-gap", size).eval(), torch.randn(2, 3, size, size)
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
    network, images = untrained(name).train(), torch.randn(8, 3, 32, 32)
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


@pytest.mark.parametrize("name", ["conv4", "conv4-np", "conv4-gap", "resnet12"])
def test_one_channel_images_are_taken(name: str):
    assert untrained(name, channels=1)(torch.randn(2, 1, 32, 32)).isfinite().all()


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_too_small_images_are_refused_in_one_line(name: str):
    with pytest.raises(HarnessError, match=f"{name} needs images of at least 16×16 pixels, not 15×15"):
        untrained(name, 15)


def test_conv4_gap_takes_images_down_to_eight_pixels():
    with pytest.raises(HarnessError, match="conv4-gap needs images of at least 8×8 pixels, not 7×7"):
        untrained("conv4-gap", 7)


@pytest.mark.parametrize("name", ["conv4", "conv4-np", "conv4-gap", "resnet12"])
def test_the_memory_format_does_not_change_features(name: str):
    network, images = untrained(name).eval(), torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        expected = network(images)
        channels_last = network.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "side"), [(84, 21), (32, 8), (4, 1)])
def test_conv4_np_pools_in_its_first_two_blocks_alone(size: int, side: int):
    network, images = untrained("conv4-np", size).eval(), torch.randn(2, 3, size, size)
    maps = images
    for i, block in enumerate(network.blocks):
        maps = block[1](block[0](maps)).relu()
        maps = torch.nn.functional.max_pool2d(maps, 2) if i < 2 else maps
    assert network.n_features == 64 * side**2
    with torch.inference_mode():
        torch.testing.assert_close(network(images), maps.flatten(1), rtol=1e-4, atol=1e-5)


def test_conv4_np_names_itself_where_images_are_too_small():
    with pytest.raises(HarnessError, match="conv4-np needs images of at least 4×4 pixels, not 3×3"):
        untrained("conv4-np", 3)

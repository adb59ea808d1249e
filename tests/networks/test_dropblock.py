"""DropBlock by hand, and as the authors' code of RFS and SKD has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.common.errors import HarnessError
from harness.common.randomness import seeded
from harness.networks.backbones.dropblock import DropBlock, covered_as_reference, follow_reference, restart_schedules
from tests.helpers.networks import untrained

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


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
    network = untrained("resnet12").train()
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
        follow_reference(untrained("resnet12"), "whole", steps, forwards)


@needs_cuda
@pytest.mark.parametrize("masks", ["whole", "reference"])
def test_a_training_step_of_resnet12_waits_for_nothing(masks: str):
    network = untrained("resnet12").cuda().to(memory_format=torch.channels_last).train()
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

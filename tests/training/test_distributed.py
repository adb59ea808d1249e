"""harness/training/distributed.py: two processes with half of a batch each compute what one with the whole does."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.common.errors import PluginError
from harness.training.contrastive import nt_xent
from harness.training.distributed import (
    BatchNormOfAll,
    normalise_over_all_processes,
    of_all_processes,
    refuse_parts_alone,
)

ONE_OF_TWO_PROCESSES = """
import sys, torch
sys.path.insert(0, sys.argv[3])
import test_distributed
folder, rank = sys.argv[1], int(sys.argv[2])
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
work, *whole = torch.load(f"{folder}/given.pt", weights_only=False)
own = [values.chunk(2)[rank].clone().requires_grad_(values.is_floating_point()) for values in whole]
torch.save(getattr(test_distributed, work)(*own), f"{folder}/found-{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.fixture
def by_two(tmp_path, request):
    """What a function of this module returns in each of two processes, given its half of each tensor."""

    def call(work, *whole):
        torch.save([work.__name__, *(values.detach() for values in whole)], tmp_path / "given.pt")
        command = [sys.executable, "-c", ONE_OF_TWO_PROCESSES, str(tmp_path)]
        processes = [subprocess.Popen([*command, str(rank), str(request.path.parent)]) for rank in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        return zip(*(torch.load(tmp_path / f"found-{rank}.pt") for rank in range(2)), strict=True)

    return call


def found_by_nt_xent(images, twins):
    loss = nt_xent(images, twins, 0.3)
    return loss.detach(), *torch.autograd.grad(loss, (images, twins))


def test_simclr_is_that_of_the_whole_batch(by_two):
    whole = [torch.randn(6, 5, dtype=torch.float64).requires_grad_() for _ in range(2)]
    losses, *gradients = by_two(found_by_nt_xent, *whole)
    loss, *expected = found_by_nt_xent(*whole)
    torch.testing.assert_close(torch.stack(losses).mean(), loss)
    for gradient, of_each in zip(expected, gradients, strict=True):
        torch.testing.assert_close(torch.cat(of_each) / 2, gradient)  # the training takes the mean of gradients


def found_by_prototypes(images):
    """A loss of an episode that needs all of it: 3 classes, 2 supports and 2 queries each."""
    features = of_all_processes(images)[0].unflatten(0, (3, 4))
    distances = torch.cdist(features[:, 2:].flatten(0, 1), features[:, :2].mean(1)).square()
    loss = F.cross_entropy(-distances, torch.arange(3).repeat_interleave(2))
    return loss.detach(), *torch.autograd.grad(loss, images)


def test_an_episode_is_gathered_whole(by_two):
    images = torch.randn(12, 5, dtype=torch.float64).requires_grad_()
    losses, gradients = by_two(found_by_prototypes, images)
    loss, expected = found_by_prototypes(images)
    assert losses[0] == losses[1]
    torch.testing.assert_close(losses[0], loss)
    torch.testing.assert_close(torch.cat(gradients) / 2, expected)


def found_by_normalising(images, weights):
    """A loss over two BatchNorms, its gradients, and what they remember."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4, momentum=None)
    ).double()
    normalise_over_all_processes(network, torch.device("cpu"))
    loss = (network(images) * weights).sum() / len(images)
    loss.backward()
    gradients = [weight.grad for weight in network.parameters()]
    return loss.detach(), images.grad, torch.nn.utils.parameters_to_vector(gradients), *network.buffers()


def test_batch_norm_is_that_of_the_whole_batch(by_two):
    images = torch.randn(6, 2, 5, 5, dtype=torch.float64).requires_grad_()
    weights = torch.randn(6, 4, 2, 2, dtype=torch.float64).requires_grad_()
    losses, of_images, of_weights, *remembered = by_two(found_by_normalising, images, weights)
    loss, image_gradient, weight_gradient, *expected = found_by_normalising(images, weights)
    torch.testing.assert_close(torch.stack(losses).mean(), loss)
    torch.testing.assert_close(torch.cat(of_images) / 2, image_gradient)
    torch.testing.assert_close(torch.stack(of_weights).mean(0), weight_gradient)
    for of_each, value in zip(remembered, expected, strict=True):
        for found in of_each:
            torch.testing.assert_close(found, value)


class Parted(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, images):
        return self.backbone(images)


PARTED = Parted()


@pytest.mark.parametrize("network", [PARTED, nn.ModuleList([PARTED, nn.Linear(2, 2)])])
def test_a_step_that_calls_parts_of_a_network_alone_is_refused(network):
    with refuse_parts_alone(network):
        PARTED.head(PARTED(torch.ones(2, 5)))
    with (
        pytest.raises(PluginError, match=r"and never the network itself, .*: call network\(batch.images\)"),
        refuse_parts_alone(network),
    ):
        PARTED.head(PARTED.backbone(torch.ones(2, 5)))
    with pytest.raises(LookupError), refuse_parts_alone(network):
        raise LookupError


def test_rows_are_gathered_process_by_process_each_with_its_views_in_turn(by_two):
    """Images 0 to 3 in two views, tens and twenties: a process has half of the images in both views."""
    rows = torch.tensor([10, 11, 20, 21, 12, 13, 22, 23])
    gathered, first = by_two(of_all_processes, rows)
    assert [each.tolist() for each in gathered] == [rows.tolist()] * 2
    assert first == (0, 4)


def test_alone_it_is_torchs_batch_norm():
    images = torch.randn(4, 3, 5, 5)
    torchs = nn.BatchNorm2d(3)
    ours = normalise_over_all_processes(copy.deepcopy(torchs), torch.device("cpu"))
    assert type(ours) is BatchNormOfAll
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(images), torchs.train(mode)(images))
    assert torch.equal(ours.running_var, torchs.running_var)


def test_on_gpus_it_is_torchs_over_all_with_activations_kept():
    network = normalise_over_all_processes(nn.Sequential(nn.BatchNorm2d(3)), torch.device("cuda"))
    assert type(network[0]) is nn.SyncBatchNorm
    layers = pytest.importorskip("timm.layers", reason="timm is not installed")
    network = normalise_over_all_processes(nn.Sequential(layers.BatchNormAct2d(3)), torch.device("cuda"))
    assert isinstance(network[0], nn.SyncBatchNorm)
    assert isinstance(network[0].act, nn.ReLU)

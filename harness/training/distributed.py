"""What makes a training by several processes, each with its share of every batch, that of one with the whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_gather, all_reduce  # which gradients flow through

from harness.common.errors import PluginError


def of_all_processes(values: torch.Tensor) -> tuple[torch.Tensor, int]:
    """``values`` (N, …) of all P processes of a training, (P·N, …), and the row at which this process's own begin.

    For losses that compare the images of a batch with each other. Rows come process by process, those of a process in
    its own order: of several views each process has its images in their first view, then in their second, and so on.
    Labels are gathered in the same way. Gradients flow back to the process that a row is from: where each process takes
    the mean over its own rows, or all take that over all rows, the gradient is that of one process with the whole
    batch. With one process: ``values`` themselves, and 0.
    """
    if not _are_several():
        return values, 0
    return torch.cat(all_gather(values)), distributed.get_rank() * len(values)


@contextmanager
def refuse_parts_alone(network: nn.Module) -> Iterator[None]:
    """Raises PluginError where a training step inside calls parts of the networks, but none of them as a whole.

    The gradients of several processes are put together only behind a call of the whole.

    Args:
        network: as Fabric wraps it; one, or several in a ModuleDict or ModuleList.
    """
    called = False

    def note(*_: object) -> None:
        nonlocal called
        called = True

    wholes = list(network.children()) if isinstance(network, (nn.ModuleDict, nn.ModuleList)) else [network]
    hooks = [whole.register_forward_pre_hook(note) for whole in wholes]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if not called:
        raise PluginError(
            "the loss calls parts of the network that it is handed, and never the network itself, so that each process "
            "would train by itself: call network(batch.images)"
        )


def normalise_over_all_processes(network: nn.Module, device: torch.device) -> nn.Module:
    """``network`` with each BatchNorm over the whole batch; changed in place, but for an outermost BatchNorm."""
    if device.type != "cuda":  # torch's is for GPUs alone
        for module in network.modules():
            if type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats:
                module.__class__ = BatchNormOfAll  # keeps weights, hooks and names
        return network
    if "timm" in sys.modules:  # whose BatchNorms may hold an activation, which torch's conversion would drop
        from timm.layers import convert_sync_batchnorm

        return convert_sync_batchnorm(network)
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


class BatchNormOfAll(nn.BatchNorm2d):
    """BatchNorm that normalises by mean and variance of the batch (P·N, C, H, W) of all P processes, on processors.

    On GPUs torch has its own; this one lets several processes train, and be tested, without any.
    """

    running_mean: torch.Tensor  # (C,)
    running_var: torch.Tensor  # (C,)
    num_batches_tracked: torch.Tensor  # a scalar

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if not self.training or not _are_several():
            return super().forward(maps)
        values = maps.to(torch.promote_types(maps.dtype, torch.float32))
        n_processes = distributed.get_world_size()
        mean = all_reduce(values.mean((0, 2, 3), keepdim=True)) / n_processes  # (1, C, 1, 1)
        variance = all_reduce((values - mean).square().mean((0, 2, 3), keepdim=True)) / n_processes
        n_values = n_processes * values.numel() // values.shape[1]
        self._remember(mean.detach().flatten(), variance.detach().flatten() * n_values / (n_values - 1))
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
        return ((values - mean) * scale + self.bias[:, None, None]).to(maps.dtype)

    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1

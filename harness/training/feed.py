"""The images of a split on the training device, fetched ahead of the step that needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from harness.contract.data import Split


RESIDENT_SHARE = 0.25  # of a GPU's memory: a split up to this size is held there whole

AHEAD = 8  # batches that are fetched before they are needed

BLOCK = 4096  # images that are copied to a GPU at once


class ImageFeed:
    """The images of a split on the training device, by index: held there whole if they fit, else fetched ahead."""

    def __init__(self, split: Split, device: torch.device) -> None:
        import torch

        self._split = split
        self._device = device
        self.labels = torch.from_numpy(np.array(split.labels)).to(device)  # (N,)
        self._resident: torch.Tensor | None = None
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            if int(np.prod(split.images.shape)) <= min(RESIDENT_SHARE * total, free / 2):
                self._resident = torch.empty(split.images.shape, dtype=torch.uint8, device=device)
                for start in range(0, len(split), BLOCK):
                    self._resident[start : start + BLOCK] = torch.from_numpy(
                        np.ascontiguousarray(split.images[start : start + BLOCK])
                    )

    def __call__(self, steps: Sequence[np.ndarray]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images (B, H, W, C) uint8 and labels (B,) on the device for each index (B,) of ``steps``, in order."""
        import torch

        if not len(steps):
            return
        sizes = [len(index) for index in steps]
        places = torch.from_numpy(np.concatenate(steps)).to(self._device)  # at once: a copy to a GPU stalls it
        labels = self.labels[places].split(sizes)
        if self._resident is not None:
            for index, of_step in zip(places.split(sizes), labels, strict=True):
                yield self._resident[index], of_step
            return
        with ThreadPoolExecutor(1, thread_name_prefix="harness-feed") as pool:
            pending: list[Future[torch.Tensor]] = []
            for step in range(len(steps) + AHEAD):
                if step < len(steps):
                    pending.append(pool.submit(self._read, steps[step]))
                if step >= AHEAD:
                    yield pending.pop(0).result().to(self._device, non_blocking=True), labels[step - AHEAD]

    def _read(self, index: np.ndarray) -> torch.Tensor:
        import torch

        images = torch.from_numpy(np.ascontiguousarray(self._split.images[index]))
        return images.pin_memory() if self._device.type == "cuda" else images

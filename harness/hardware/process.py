"""A worker process made ready to compute."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.hardware.memory import tune_allocator
from harness.hardware.threads import share_processor

if TYPE_CHECKING:
    from harness.hardware.hardware import Hardware


def prepare_process(hardware: Hardware, image_size: int = 32) -> None:
    """Set this process up: threads, allocator, and kernels that give the same bytes each time.

    ``image_size`` (pixels) is that of the images it will work on.

    "bf16" alone is fast on a GPU; "32" is 32 bits, not TF32's 19. cuDNN takes deterministic kernels and does not
    choose them by timing (``benchmark``), which would differ from run to run.
    """
    import torch

    tune_allocator(keep_largest=image_size <= 64)
    torch.set_num_threads(hardware.threads)
    share_processor(hardware.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to repeat its sums
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False

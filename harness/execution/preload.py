"""What the fork server loads once, so that no worker has to. Loading starts no threads and touches no GPU."""

import gc
import importlib
import os
import sys

from harness.execution.lifeline import die_with, end_server_with_bench

FORKABLE = 71  # an exit status that no plugin ends with by chance


def load_plugins() -> None:
    """Import what is installed, unless that starts a thread, touches a GPU or ends the process: a child tries it first.

    Threads and a GPU's context do not survive a fork. Then each worker loads the plugins for itself.
    """
    from harness.catalogue.catalogue import Catalogue

    server = os.getpid()
    if sys.platform != "linux":  # nothing tells how many threads there are
        return
    if (child := os.fork()) == 0:
        try:
            die_with(server)
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            Catalogue.discover()
            os._exit(FORKABLE if _can_be_forked() else 1)
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == FORKABLE:
        Catalogue.discover()


def _can_be_forked() -> bool:
    import torch

    return len(os.listdir("/proc/self/task")) == 1 and not torch.cuda.is_initialized()


end_server_with_bench()

for _module in (
    "torch._dynamo",
    "lightning_fabric",
    "PIL.ImageFont",
    "safetensors.torch",
    "harness.catalogue.builtin",
    "harness.datasets.combine",
    "harness.datasets.prepared.opening",
    "harness.datasets.prepared.store",
    "harness.episodes.sampler",
    "harness.evaluation.classifiers",
    "harness.evaluation.evaluator",
    "harness.evaluation.scoring",
    "harness.execution.shorter",
    "harness.execution.validation",
    "harness.execution.work",
    "harness.hardware.process",
    "harness.networks.backbones.conv4",
    "harness.networks.learners",
    "harness.networks.losses",
    "harness.training.trainer",
):
    importlib.import_module(_module)
load_plugins()

gc.collect()
gc.freeze()  # else each worker's collections go through all of torch, and copy its pages

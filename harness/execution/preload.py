"""What the fork server loads once, so that no worker has to. Loading starts no threads and touches no GPU."""

import gc
import importlib

from harness.execution.lifeline import end_server_with_bench

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
importlib.import_module("harness.execution.plugins").load()

gc.collect()
gc.freeze()  # else each worker's collections go through all of torch, and copy its pages

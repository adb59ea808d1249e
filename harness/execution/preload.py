"""What the fork server loads once, so that no worker has to. Loading starts no threads and touches no GPU."""

import importlib

for _module in (
    "torch._dynamo",
    "lightning_fabric",
    "harness.catalogue.builtin",
    "harness.training.trainer",
    "harness.evaluation.scoring",
):
    importlib.import_module(_module)

"""What the fork server loads once, so that no worker has to. Loading starts no threads and touches no GPU."""

import importlib

from harness.execution.lifeline import end_server_with_bench

end_server_with_bench()

for _module in (
    "torch._dynamo",
    "lightning_fabric",
    "harness.catalogue.builtin",
    "harness.training.trainer",
    "harness.evaluation.scoring",
):
    importlib.import_module(_module)

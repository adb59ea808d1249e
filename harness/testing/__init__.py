"""The contract checks that any plugin author runs.

    from harness.testing import check_method
    from harness_mine import MINE

    def test_it_keeps_the_contract():
        check_method(MINE)

``harness check NAME`` runs the same on an installed method and prints a line a check. Importing this imports no torch.
"""

from harness.testing.check import Check
from harness.testing.data import tiny_dataset
from harness.testing.methods import check_method, method_checks
from harness.testing.parts import (
    backbone_checks,
    check_backbone,
    check_classifier,
    check_dataset,
    classifier_checks,
    dataset_checks,
)

__all__ = [
    "Check",
    "backbone_checks",
    "check_backbone",
    "check_classifier",
    "check_dataset",
    "check_method",
    "classifier_checks",
    "dataset_checks",
    "method_checks",
    "tiny_dataset",
]

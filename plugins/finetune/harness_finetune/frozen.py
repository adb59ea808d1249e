"""Frozen features: a backbone with given weights as it is, and logistic regression on its features of length one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import harness


def stages(options: harness.MethodOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("frozen", build)]


def build(context: harness.BuildContext) -> Any:
    from harness import FeatureNetwork

    return FeatureNetwork(context)


FROZEN = harness.MethodSpec(
    name="frozen",
    title="Frozen features: no training, logistic regression on a backbone with given weights (--weights)",
    paper="",
    options=harness.MethodOptions,
    stages=stages,
    head=harness.Head("logistic", transform="l2"),
    needs_weights=True,
)

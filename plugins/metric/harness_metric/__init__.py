"""Learned comparisons: matching, relation and siamese networks, and pre-training with a loss of metric learning.

A file a method; its options, stages and presets stand apart from its network, which imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import harness
from harness_metric.matching import MATCHING
from harness_metric.pretraining import METRIC, installed
from harness_metric.relation import RELATION
from harness_metric.siamese import SIAMESE


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    if not installed():
        raise harness.HarnessError("pytorch-metric-learning is not installed. Run: pip install pytorch-metric-learning")
    return [MATCHING, RELATION, SIAMESE, METRIC]

"""Methods that first train a classifier of the base classes, a module each, and the heads that two of them bring.

Sources and departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import harness
from harness_finetune.baseline import BASELINE, BASELINE_PLUS_PLUS
from harness_finetune.feat import FEAT
from harness_finetune.frozen import FROZEN
from harness_finetune.meta_baseline import META_BASELINE
from harness_finetune.simpleshot import SIMPLESHOT

LINEAR_SGD = "linear classifier fitted to the supports, 100 passes of SGD in batches of 4"
COSINE_SGD = "cosine classifier fitted to the supports, 100 passes of SGD in batches of 4"


def linear_sgd() -> Any:
    from harness_finetune.heads import linear_sgd

    return linear_sgd


def cosine_sgd() -> Any:
    from harness_finetune.heads import cosine_sgd

    return cosine_sgd


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [BASELINE, BASELINE_PLUS_PLUS, SIMPLESHOT, META_BASELINE, FEAT, FROZEN]


@harness.hookimpl
def harness_classifiers() -> Iterable[harness.ClassifierSpec]:
    return [
        harness.ClassifierSpec("linear-sgd", LINEAR_SGD, linear_sgd, citation=BASELINE.citation),
        harness.ClassifierSpec("cosine-sgd", COSINE_SGD, cosine_sgd, citation=BASELINE_PLUS_PLUS.citation),
    ]

"""Meta-learning: methods that learn, over training episodes, what a base learner starts from or works on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import harness
from harness_metalearning.anil import ANIL
from harness_metalearning.leo import LEO
from harness_metalearning.maml import MAML, MAML_TRANSDUCTIVE
from harness_metalearning.meta_lstm import META_LSTM
from harness_metalearning.metaoptnet import METAOPTNET, METAOPTNET_RIDGE
from harness_metalearning.r2d2 import R2D2

CRAMMER_SINGER = harness.Citation(
    "crammer2001algorithmic",
    "Crammer, Koby and Singer, Yoram",
    "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines",
    2001,
    "Journal of Machine Learning Research",
    "article",
    (("volume", "2"), ("pages", "265--292")),
)


@harness.hookimpl
def harness_methods() -> Iterable[harness.MethodSpec]:
    return [MAML, MAML_TRANSDUCTIVE, ANIL, R2D2, METAOPTNET, METAOPTNET_RIDGE, LEO, META_LSTM]


def load_ridge() -> Any:
    from harness_metalearning.ridge import one_hot_ridge

    return one_hot_ridge


def load_svm() -> Any:
    from harness_metalearning.crammer_singer import crammer_singer

    return crammer_singer


@harness.hookimpl
def harness_classifiers() -> Iterable[harness.ClassifierSpec]:
    return [
        harness.ClassifierSpec(
            "one-hot-ridge", "ridge regression on one-hot labels, penalty 1", load_ridge, citation=R2D2.citation
        ),
        harness.ClassifierSpec(
            "crammer-singer", "multi-class support vector machine, C = 1", load_svm, citation=CRAMMER_SINGER
        ),
    ]

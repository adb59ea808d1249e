"""Classifiers that look at all queries of an episode at once, for any learner that embeds images.

Sources are in the module of each; values, and departures from the papers, in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

import harness


def _load(module: str, name: str) -> Callable[[], harness.BatchedClassifier]:
    return lambda: getattr(import_module(f"harness_transductive.{module}"), name)


def _spec(name: str, title: str, module: str, function: str) -> harness.ClassifierSpec:
    return harness.ClassifierSpec(name, title, _load(module, function), transductive=True)


CLASSIFIERS = (
    _spec("tim", "TIM-GD: mutual information of queries and classes, by gradient descent", "tim", "tim"),
    _spec("tim-adm", "TIM-ADM: the same aim in closed-form steps, many times faster", "tim_adm", "tim_adm"),
    _spec("alpha-tim", "TIM with alpha-entropies, for unbalanced queries", "alpha_tim", "alpha_tim"),
    _spec("laplacian-shot", "near queries get the same class; best with centre+l2", "laplacian_shot", "laplacian_shot"),
    _spec("bd-cspn", "class means rectified by shifted queries; best with centre+l2", "bd_cspn", "bd_cspn"),
    _spec("pt-map", "optimal transport to equal classes; best with power+l2", "pt_map", "pt_map"),
    _spec("paddle", "as few classes as explain the queries; best with none", "paddle", "paddle"),
)


@harness.hookimpl
def harness_classifiers() -> Iterable[harness.ClassifierSpec]:
    return CLASSIFIERS

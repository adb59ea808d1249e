"""Classifiers that look at all queries of an episode at once, for any learner that embeds images.

Sources are in the module of each; values, and departures from the papers, in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

import harness


def _load(module: str, name: str) -> Callable[[], harness.BatchedClassifier]:
    return lambda: getattr(import_module(f"harness_transductive.{module}"), name)


def _spec(name: str, title: str, module: str, citation: harness.Citation) -> harness.ClassifierSpec:
    return harness.ClassifierSpec(name, title, _load(module, module), transductive=True, citation=citation)


TIM = harness.Citation(
    "boudiaf2020information",
    "Boudiaf, Malik and Ziko, Imtiaz Masud and Rony, Jérôme and Dolz, Jose and Piantanida, Pablo and Ben Ayed, Ismail",
    "Information Maximization for Few-Shot Learning",
    2020,
    "Advances in Neural Information Processing Systems",
)
ALPHA_TIM = harness.Citation(
    "veilleux2021realistic",
    "Veilleux, Olivier and Boudiaf, Malik and Piantanida, Pablo and Ben Ayed, Ismail",
    "Realistic Evaluation of Transductive Few-Shot Learning",
    2021,
    "Advances in Neural Information Processing Systems",
)
LAPLACIAN_SHOT = harness.Citation(
    "ziko2020laplacian",
    "Ziko, Imtiaz Masud and Dolz, Jose and Granger, Eric and Ben Ayed, Ismail",
    "Laplacian Regularized Few-Shot Learning",
    2020,
    "International Conference on Machine Learning",
)
BD_CSPN = harness.Citation(
    "liu2020prototype",
    "Liu, Jinlu and Song, Liang and Qin, Yongqiang",
    "Prototype Rectification for Few-Shot Learning",
    2020,
    "European Conference on Computer Vision",
)
PT_MAP = harness.Citation(
    "hu2021leveraging",
    "Hu, Yuqing and Gripon, Vincent and Pateux, Stéphane",
    "Leveraging the Feature Distribution in Transfer-based Few-Shot Learning",
    2021,
    "International Conference on Artificial Neural Networks",
)
PADDLE = harness.Citation(
    "martin2022towards",
    "Martin, Ségolène and Boudiaf, Malik and Chouzenoux, Emilie and Pesquet, Jean-Christophe and Ben Ayed, Ismail",
    "Towards Practical Few-shot Query Sets: Transductive Minimum Description Length Inference",
    2022,
    "Advances in Neural Information Processing Systems",
)


CLASSIFIERS = (
    _spec("tim", "TIM-GD: mutual information of queries and classes, by gradient descent", "tim", TIM),
    _spec("tim-adm", "TIM-ADM: the same aim in closed-form steps, many times faster", "tim_adm", TIM),
    _spec("alpha-tim", "TIM with alpha-entropies, for unbalanced queries", "alpha_tim", ALPHA_TIM),
    _spec("laplacian-shot", "near queries get the same class; best with centre+l2", "laplacian_shot", LAPLACIAN_SHOT),
    _spec("bd-cspn", "class means rectified by shifted queries; best with centre+l2", "bd_cspn", BD_CSPN),
    _spec("pt-map", "optimal transport to equal classes; best with power+l2", "pt_map", PT_MAP),
    _spec("paddle", "as few classes as explain the queries; best with none", "paddle", PADDLE),
)


@harness.hookimpl
def harness_classifiers() -> Iterable[harness.ClassifierSpec]:
    return CLASSIFIERS

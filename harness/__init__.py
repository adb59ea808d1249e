"""Fair comparison of few-shot-learning methods: the same splits, the same episodes, one table.

    dataset ─ split ─► method.stages() ─ fit ─► learner ─ embed once ─► features
       │                                                                  │
       └────────── episodes (indices, the same for all) ──────────────────┤
                                                                          ▼
                                        head on all episodes at once ─ accuracies
                                                                          ▼
                                     statistics ─ run record on disk ─ report

A module a step, in that order: datasets, episodes, backbones, augment, training, evaluation, statistics, runs,
bench, reports. Importing this package imports no torch.
"""

from harness.common.errors import HarnessError
from harness.contract.backbones import BackboneRequest, BackboneSpec
from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import ClassifierSpec, Head
from harness.contract.hooks import hookimpl
from harness.contract.learners import EpisodeBatch
from harness.contract.methods import BuildContext, FitContext, MethodSpec, Preset, Stage
from harness.contract.options import MethodOptions, TrainingOptions
from harness.contract.reporters import ReporterSpec
from harness.contract.results import Score, StageFailure, StageResult

__version__ = "0.1.0"

__all__ = [
    "Augmentation",
    "BackboneRequest",
    "BackboneSpec",
    "BuildContext",
    "ClassifierSpec",
    "DataRequest",
    "Dataset",
    "DatasetSpec",
    "EpisodeBatch",
    "EpisodeSpec",
    "Episodes",
    "FitContext",
    "HarnessError",
    "Head",
    "MethodOptions",
    "MethodSpec",
    "Preset",
    "ReporterSpec",
    "Score",
    "Split",
    "Stage",
    "StageFailure",
    "StageResult",
    "TrainingOptions",
    "hookimpl",
]

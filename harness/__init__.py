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

from harness.errors import HarnessError
from harness.hookspecs import hookimpl
from harness.options import MethodOptions, TrainingOptions
from harness.types import (
    Augmentation,
    BackboneRequest,
    BackboneSpec,
    BuildContext,
    ClassifierSpec,
    DataRequest,
    Dataset,
    DatasetSpec,
    EpisodeBatch,
    Episodes,
    EpisodeSpec,
    FitContext,
    Head,
    MethodSpec,
    Preset,
    ReporterSpec,
    Score,
    Split,
    Stage,
    StageFailure,
    StageResult,
)

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

"""Fair comparison of few-shot-learning methods: the same splits, the same episodes, one table.

    dataset ─ split ─► method.stages() ─ fit ─► learner ─ embed once ─► features
       │                                                                  │
       └────────── episodes (indices, the same for all) ──────────────────┤
                                                                          ▼
                                        head on all episodes at once ─ accuracies
                                                                          ▼
                                     statistics ─ run record on disk ─ report

The names below are the public interface: what a plugin, a notebook or a script may rely on, with ``harness.testing``.
Everything else may change. Each name is loaded when it is first used, so that importing this package costs next to
nothing. The rooms of the package and their order are in docs/architecture.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api.benches import load_results, open_results, run_bench
    from harness.api.results import Results
    from harness.common.errors import HarnessError
    from harness.common.randomness import numpy_generator, seeded, torch_generator
    from harness.contract.backbones import BackboneRequest, BackboneSpec
    from harness.contract.batches import Batches, EpisodeLayout, EpisodicBatches, ShuffledBatches, Step
    from harness.contract.citations import Citation
    from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, Split
    from harness.contract.episodes import Episodes, EpisodeSpec
    from harness.contract.heads import (
        BaseStatistics,
        BatchedClassifier,
        ClassifierSpec,
        FeatureTransform,
        Head,
        TransformSpec,
    )
    from harness.contract.hooks import hookimpl
    from harness.contract.learners import Embedder, EpisodeBatch, EpisodicLearner, Learner, StoredEmbedder
    from harness.contract.methods import BuildContext, FitContext, MethodSpec, Preset, Stage
    from harness.contract.options import (
        QUICK,
        QUICK_PER_DATASET,
        TRAINING_READS,
        GradientOptions,
        MethodOptions,
        TrainingOptions,
    )
    from harness.contract.recipe import (
        Adam,
        Length,
        Position,
        Recipe,
        Selection,
        Sgd,
        StepDecay,
        WarmUp,
        constant,
        cosine,
    )
    from harness.contract.reporters import ReporterSpec
    from harness.contract.results import Score, StageFailure, StageResult
    from harness.contract.trackers import TrackedBench, TrackedTable, TrackerSpec
    from harness.contract.training import Batch, Loss, Trainer, TrainingEpisodes
    from harness.contract.training_episodes import check_training_episodes
    from harness.datasets.prepared.fingerprints import image_digests
    from harness.datasets.prepared.opening import open_prepared
    from harness.datasets.preparing.classes import ClassList, ListedClass
    from harness.datasets.preparing.downloads import Remote
    from harness.datasets.preparing.forms.class_folders import class_folders
    from harness.datasets.preparing.prepare import PrepareRequest, prepare_dataset
    from harness.images.rotations import rotate, rotations4
    from harness.inference.learners import TrainedLearner, classify, load_learner
    from harness.networks.accuracy import top_accuracies
    from harness.networks.backbones.dropblock import DropBlock, follow_reference, restart_schedules
    from harness.networks.learners import ClassifierNetwork, FeatureNetwork, in_float32
    from harness.networks.losses import distillation
    from harness.reports.build import build_report
    from harness.reports.formats.values import frame
    from harness.reports.model import Report
    from harness.runs import load_benches
    from harness.training.contrastive import nt_xent
    from harness.training.distributed import of_all_processes

_PLACES = {
    "harness.api.benches": "load_results open_results run_bench",
    "harness.api.results": "Results",
    "harness.common.errors": "HarnessError",
    "harness.common.randomness": "numpy_generator seeded torch_generator",
    "harness.contract.backbones": "BackboneRequest BackboneSpec",
    "harness.contract.batches": "Batches EpisodeLayout EpisodicBatches ShuffledBatches Step",
    "harness.contract.citations": "Citation",
    "harness.contract.data": "Augmentation DataRequest Dataset DatasetSpec Split",
    "harness.contract.episodes": "EpisodeSpec Episodes",
    "harness.contract.heads": "BaseStatistics BatchedClassifier ClassifierSpec FeatureTransform Head TransformSpec",
    "harness.contract.hooks": "hookimpl",
    "harness.contract.learners": "Embedder EpisodeBatch EpisodicLearner Learner StoredEmbedder",
    "harness.contract.methods": "BuildContext FitContext MethodSpec Preset Stage",
    "harness.contract.options": "GradientOptions MethodOptions QUICK QUICK_PER_DATASET TRAINING_READS TrainingOptions",
    "harness.contract.reporters": "ReporterSpec",
    "harness.contract.results": "Score StageFailure StageResult",
    "harness.contract.recipe": "Adam Length Position Recipe Selection Sgd StepDecay WarmUp constant cosine",
    "harness.contract.trackers": "TrackedBench TrackedTable TrackerSpec",
    "harness.contract.training": "Batch Loss Trainer TrainingEpisodes",
    "harness.contract.training_episodes": "check_training_episodes",
    "harness.datasets.prepared.fingerprints": "image_digests",
    "harness.datasets.prepared.opening": "open_prepared",
    "harness.datasets.preparing.classes": "ClassList ListedClass",
    "harness.datasets.preparing.downloads": "Remote",
    "harness.datasets.preparing.forms.class_folders": "class_folders",
    "harness.datasets.preparing.prepare": "PrepareRequest prepare_dataset",
    "harness.images.rotations": "rotate rotations4",
    "harness.inference.learners": "TrainedLearner classify load_learner",
    "harness.networks.accuracy": "top_accuracies",
    "harness.networks.backbones.dropblock": "DropBlock follow_reference restart_schedules",
    "harness.networks.learners": "ClassifierNetwork FeatureNetwork in_float32",
    "harness.networks.losses": "distillation",
    "harness.reports.build": "build_report",
    "harness.reports.formats.values": "frame",
    "harness.reports.model": "Report",
    "harness.runs": "load_benches",
    "harness.training.contrastive": "nt_xent",
    "harness.training.distributed": "of_all_processes",
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = [
    "QUICK",
    "QUICK_PER_DATASET",
    "TRAINING_READS",
    "Adam",
    "Augmentation",
    "BackboneRequest",
    "BackboneSpec",
    "BaseStatistics",
    "Batch",
    "BatchedClassifier",
    "Batches",
    "BuildContext",
    "Citation",
    "ClassList",
    "ClassifierNetwork",
    "ClassifierSpec",
    "DataRequest",
    "Dataset",
    "DatasetSpec",
    "DropBlock",
    "Embedder",
    "EpisodeBatch",
    "EpisodeLayout",
    "EpisodeSpec",
    "Episodes",
    "EpisodicBatches",
    "EpisodicLearner",
    "FeatureNetwork",
    "FeatureTransform",
    "FitContext",
    "GradientOptions",
    "HarnessError",
    "Head",
    "Learner",
    "Length",
    "ListedClass",
    "Loss",
    "MethodOptions",
    "MethodSpec",
    "Position",
    "PrepareRequest",
    "Preset",
    "Recipe",
    "Remote",
    "Report",
    "ReporterSpec",
    "Results",
    "Score",
    "Selection",
    "Sgd",
    "ShuffledBatches",
    "Split",
    "Stage",
    "StageFailure",
    "StageResult",
    "Step",
    "StepDecay",
    "StoredEmbedder",
    "TrackedBench",
    "TrackedTable",
    "TrackerSpec",
    "TrainedLearner",
    "Trainer",
    "TrainingEpisodes",
    "TrainingOptions",
    "TransformSpec",
    "WarmUp",
    "build_report",
    "check_training_episodes",
    "class_folders",
    "classify",
    "constant",
    "cosine",
    "distillation",
    "follow_reference",
    "frame",
    "hookimpl",
    "image_digests",
    "in_float32",
    "load_benches",
    "load_learner",
    "load_results",
    "nt_xent",
    "numpy_generator",
    "of_all_processes",
    "open_prepared",
    "open_results",
    "prepare_dataset",
    "restart_schedules",
    "rotate",
    "rotations4",
    "run_bench",
    "seeded",
    "top_accuracies",
    "torch_generator",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from harness.common.version import __version__

        return __version__
    if name == "bench":  # the package, which can be called
        from importlib import import_module

        return import_module("harness.bench")
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_PLACE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__", "bench"]

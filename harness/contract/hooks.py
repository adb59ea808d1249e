"""The plugin contract, in the order of the pipeline.

A plugin is a module (or any object) behind an entry point of the group ``harness``. It implements what it offers:

    import harness

    @harness.hookimpl
    def harness_methods():
        return [harness.MethodSpec(...)]

The first seven hooks are called once, when the command line starts, so they must be quick and import no torch. The
three last ones notify. No hook replaces the episode sampler: every method meets the same episodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from harness.contract.backbones import BackboneSpec
    from harness.contract.data import DatasetSpec
    from harness.contract.heads import ClassifierSpec, TransformSpec
    from harness.contract.methods import MethodSpec
    from harness.contract.reporters import ReporterSpec
    from harness.contract.results import StageFailure, StageResult
    from harness.contract.trackers import TrackerSpec

hookspec = pluggy.HookspecMarker("harness")
hookimpl = pluggy.HookimplMarker("harness")


@hookspec
def harness_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Datasets to bench on. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_backbones() -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Networks from images to features. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Few-shot-learning methods. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_classifiers() -> Iterable[ClassifierSpec]:  # type: ignore[empty-body]
    """Classifiers for features. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_transforms() -> Iterable[TransformSpec]:  # type: ignore[empty-body]
    """Transforms of features. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_reporters() -> Iterable[ReporterSpec]:  # type: ignore[empty-body]
    """Ways of writing a report. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_trackers() -> Iterable[TrackerSpec]:  # type: ignore[empty-body]
    """Trackers that ``--track`` switches on. Called once at start; a name that another plugin has is an error."""


@hookspec
def harness_stage_started(
    label: str, stage: str, seed: int, dataset: str, key: str, settings: Mapping[str, Any]
) -> None:
    """A stage is about to be trained or scored. Called in the main process, for trackers.

    ``key`` is the hash of all that decides its weights: a training that is taken up again has the same. ``settings``
    holds the options that it reads, its ``method`` and ``backbone``. What it returns is ignored; if it raises, that is
    reported once and this implementation is not called again.
    """


@hookspec
def harness_epoch_done(
    label: str, stage: str, seed: int, dataset: str, epoch: int, step: int, metrics: Mapping[str, float]
) -> None:
    """An epoch is over and its checkpoint is on disk. Called in the main process, on the terms of the hook above.

    ``epoch`` counts from 1 in each phase of a training, ``step`` over all of them. ``metrics`` holds the epoch's mean
    losses, training accuracies (fractions), ``learning_rate`` and ``images_per_second``: the columns of metrics.csv.
    """


@hookspec
def harness_stage_done(
    label: str, stage: str, seed: int, dataset: str, result: StageResult | StageFailure, reused: bool
) -> None:
    """A stage is trained and scored, or has failed. Called in the main process, on the terms of the hooks above.

    ``reused``: all of it was on disk, so that it was not started.
    """

"""What the harness brings itself, offered through the same hooks as a stranger's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import datasets, evaluation, reports
from harness.catalogue import floors
from harness.contract.hooks import hookimpl
from harness.networks.backbones import SPECS as BACKBONES

if TYPE_CHECKING:
    from harness.contract.backbones import BackboneSpec
    from harness.contract.data import DatasetSpec
    from harness.contract.heads import ClassifierSpec, TransformSpec
    from harness.contract.methods import MethodSpec
    from harness.contract.reporters import ReporterSpec


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return datasets.SPECS


@hookimpl
def harness_backbones() -> Iterable[BackboneSpec]:
    return BACKBONES


@hookimpl
def harness_methods() -> Iterable[MethodSpec]:
    return floors.SPECS


@hookimpl
def harness_classifiers() -> Iterable[ClassifierSpec]:
    return evaluation.CLASSIFIERS


@hookimpl
def harness_transforms() -> Iterable[TransformSpec]:
    return evaluation.TRANSFORMS


@hookimpl
def harness_reporters() -> Iterable[ReporterSpec]:
    return reports.SPECS

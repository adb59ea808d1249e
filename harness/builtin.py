"""What the harness brings itself, offered through the same hooks as a stranger's."""

from __future__ import annotations

from collections.abc import Iterable

from harness import datasets, evaluation, floors, reports
from harness.backbones import SPECS as BACKBONES
from harness.hookspecs import hookimpl
from harness.types import BackboneSpec, ClassifierSpec, DatasetSpec, MethodSpec, ReporterSpec


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
    return evaluation.SPECS


@hookimpl
def harness_reporters() -> Iterable[ReporterSpec]:
    return reports.SPECS

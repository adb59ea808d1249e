"""harness/contract/hooks.py: every hook says when it is called and what it may do, and people can read of it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from harness.catalogue import builtin
from harness.catalogue.catalogue import OFFERS, Catalogue
from harness.contract import hooks as hookspecs
from harness.contract.backbones import BackboneSpec
from harness.contract.data import DatasetSpec
from harness.contract.heads import ClassifierSpec, TransformSpec
from harness.contract.reporters import ReporterSpec
from harness.contract.trackers import TrackerSpec
from tests.helpers.plugins import a_method, offering

ROOT = Path(__file__).parents[2]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "harness_spec")}
OFFERING = sorted(OFFERS)
NOTIFYING = sorted(HOOKS.keys() - OFFERS)


def test_the_hooks_are_these():
    assert OFFERING == [
        "harness_backbones",
        "harness_classifiers",
        "harness_datasets",
        "harness_methods",
        "harness_reporters",
        "harness_trackers",
        "harness_transforms",
    ]
    assert NOTIFYING == ["harness_epoch_done", "harness_stage_done", "harness_stage_started"]


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_when_it_is_called(name):
    assert "Called " in HOOKS[name].__doc__


@pytest.mark.parametrize("name", OFFERING)
def test_a_hook_that_offers_says_what_it_returns_and_takes_nothing(name):
    signature = inspect.signature(HOOKS[name])
    assert not signature.parameters
    assert signature.return_annotation == f"Iterable[{OFFERS[name][1].__name__}]"


@pytest.mark.parametrize("name", NOTIFYING)
def test_a_hook_that_notifies_types_its_arguments_and_returns_nothing(name):
    signature = inspect.signature(HOOKS[name])
    assert signature.return_annotation == "None"
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_and_its_arguments_are_documented_for_plugin_authors(name):
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert f"`{name}({arguments})`" in (ROOT / "docs" / "adding_a_method.md").read_text(encoding="utf-8")


OFFERED = {  # hook → something to offer, and where a catalogue has it
    "harness_backbones": (BackboneSpec("mine", "", lambda request: None), "backbones"),
    "harness_classifiers": (ClassifierSpec("mine", "", lambda: None), "classifiers"),
    "harness_datasets": (DatasetSpec("mine", "", 32, lambda request: None), "datasets"),
    "harness_methods": (a_method("mine"), "methods"),
    "harness_reporters": (ReporterSpec("mine", "", lambda report: ""), "reporters"),
    "harness_trackers": (TrackerSpec("mine", "", lambda bench: None), "trackers"),
    "harness_transforms": (TransformSpec("mine", "", lambda: None), "transforms"),
}


@pytest.mark.parametrize("name", OFFERING)
def test_what_a_plugin_offers_through_a_hook_is_in_the_catalogue(name):
    spec, kind = OFFERED[name]
    assert getattr(Catalogue([("mine", offering(**{name: [spec]}))]), kind) == {"mine": spec}


@pytest.mark.parametrize("name", NOTIFYING)
def test_a_hook_that_notifies_hands_a_plugin_every_argument(name):
    told = []

    class Tracker:
        @hookspecs.hookimpl
        def harness_stage_started(self, label, stage, seed, dataset, key, settings):
            told.append([label, stage, seed, dataset, key, settings])

        @hookspecs.hookimpl
        def harness_epoch_done(self, label, stage, seed, dataset, epoch, step, metrics):
            told.append([label, stage, seed, dataset, epoch, step, metrics])

        @hookspecs.hookimpl
        def harness_stage_done(self, label, stage, seed, dataset, result, reused):
            told.append([label, stage, seed, dataset, result, reused])

    arguments = {name: object() for name in inspect.signature(HOOKS[name]).parameters}
    Catalogue([("tracker", Tracker())]).notify(name, pytest.fail, **arguments)
    assert told == [list(arguments.values())]


@pytest.mark.parametrize("name", [name for name in OFFERING if name != "harness_trackers"])
def test_the_harness_itself_offers_through_the_same_hooks(name):
    offered = list(getattr(builtin, name)())
    assert offered
    assert all(isinstance(spec, OFFERS[name][1]) for spec in offered)

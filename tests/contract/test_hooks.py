"""harness/contract/hooks.py: every hook says when it is called and what it may do, and people can read of it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from harness.catalogue import builtin
from harness.catalogue.catalogue import OFFERS
from harness.contract import hooks as hookspecs

ROOT = Path(__file__).parents[2]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "harness_spec")}
OFFERING = sorted(OFFERS)
NOTIFYING = sorted(HOOKS.keys() - OFFERS)


def test_the_hooks_are_these():
    assert OFFERING == [
        "harness_backbones", "harness_classifiers", "harness_datasets", "harness_methods", "harness_reporters",
    ]  # fmt: skip
    assert NOTIFYING == ["harness_epoch_done", "harness_stage_done"]


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


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_tested(name):
    assert re.search(rf"\b{name}\b", (ROOT / "tests" / "catalogue" / "test_catalogue.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", OFFERING)
def test_the_harness_itself_offers_through_the_same_hooks(name):
    offered = list(getattr(builtin, name)())
    assert offered
    assert all(isinstance(spec, OFFERS[name][1]) for spec in offered)

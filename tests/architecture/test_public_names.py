"""harness/__init__.py says its public names three times: for people, for type checkers, for the lazy import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import harness
from tests.helpers.imports import ROOT

TREE = ast.parse((ROOT / "harness" / "__init__.py").read_text(encoding="utf-8"))


def names_for_type_checkers() -> set[tuple[str, str]]:
    [block] = (node for node in TREE.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    return {(str(node.module), alias.name) for node in imports for alias in node.names}


def test_the_three_lists_of_public_names_agree():
    lazily = {(place, name) for place, names in harness._PLACES.items() for name in names.split()}
    assert lazily == names_for_type_checkers()
    assert sorted(name for _, name in lazily) == sorted(harness.__all__)


@pytest.mark.parametrize("name", harness.__all__)
def test_a_public_name_loads_and_says_what_it_is(name):
    value = getattr(harness, name)
    assert name in vars(harness)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert not (value.__doc__ or name).startswith(name), "no docstring of its own"


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'harness' has no attribute 'Learnr'"):
        harness.Learnr  # noqa: B018


def test_importing_harness_loads_no_other_module_of_it():
    code = "import harness, sys; print([name for name in sys.modules if name.startswith('harness.')])"
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert result.stdout.strip() == "[]"

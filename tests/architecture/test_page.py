"""docs/architecture.md tells the truth: each file, name and room that it names is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.test_imports import ROOMS
from tests.helpers.imports import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted({name for name in re.findall(r"`([^`\s]+)`", TEXT) if "/" in name and "=" not in name} - {"rfs/simple"})
DEFINED = re.findall(r"^\|.*\| `(harness/\S+\.py)` \| (.+) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "names"), DEFINED)
def test_a_file_defines_the_names_beside_it(path, names):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert set(re.findall(r"`(\w+)`", names)) <= defined


def test_the_tables_are_read():
    assert len(DEFINED) > 25


def test_the_rooms_stand_in_the_order_that_is_linted():
    assert re.findall(r"^\| `harness/(\w+)/` \|", TEXT, re.MULTILINE) == ROOMS[::-1]


def test_each_room_of_the_package_is_on_the_page():
    folders = {path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")}
    assert folders == set(ROOMS)


def test_the_glossary_is_in_the_order_of_the_alphabet():
    words = re.findall(r"^\| ([^|]+) \|", TEXT.partition("## Glossary")[2], re.MULTILINE)[2:]
    assert len(words) > 25
    assert words == sorted(words)

"""The rooms of harness/ stand in an order, no file imports itself in a circle, and plugins use the public interface.

import-linter holds the order itself, in ``tox run -e lint``; here is what it cannot see.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.helpers.imports import ROOT, cycles, import_graph, imported_names

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
PUBLIC = ("harness", "harness.testing")
FOR_PLUGIN_AUTHORS = [
    *sorted(ROOT.glob("plugins/*/*/**/*.py")),
    *sorted(ROOT.glob("harness/cli/templates/**/*.py.in")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    ROOT / "README.md",
]


def test_a_cycle_through_a_third_module_and_one_of_a_pair_are_told_apart():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert cycles(graph) == [{"a", "b", "c"}, {"d", "e"}]


def test_imports_for_types_and_inside_functions_count():
    text = "if TYPE_CHECKING:\n    from a.b import C\ndef f():\n    import d.e\n"
    assert set(imported_names(text)) == {"a.b.C", "d.e"}


def test_no_file_imports_itself_in_a_circle():
    graph = import_graph(ROOT / "harness")
    assert len(graph) > 100
    assert cycles(graph) == []


def test_each_room_has_its_tests():
    rooms = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert set(ROOMS) - {"common"} <= rooms


@pytest.mark.parametrize("path", FOR_PLUGIN_AUTHORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_plugin_authors_read_imports_the_public_interface_alone(path):
    import harness

    names = [name for name in imports_of(path) if name.partition(".")[0] == "harness"]
    for name in names:
        module, _, last = name.rpartition(".")
        assert name in PUBLIC or (module in PUBLIC and (module != "harness" or last in harness.__all__)), name


def imports_of(path: Path) -> list[str]:
    """The names a file imports; of a page, those of its Python."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^ *((?:from|import) +harness\b.*)$", text, re.MULTILINE))
    return list(imported_names(text.replace("$package", "package")))

"""harness/catalogue/catalogue.py: installed plugins are found, and a broken one stops nothing."""

from __future__ import annotations

import importlib
import sys

import pytest

import harness
from harness.catalogue.catalogue import Broken, Catalogue
from harness.common.errors import PluginError

GOOD = """
import harness

@harness.hookimpl
def harness_methods():
    stages = lambda options: [harness.Stage("only", lambda context: None)]
    return [harness.MethodSpec("good", "a method", "", harness.MethodOptions, stages)]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one module: a real dist-info folder on ``sys.path``."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def write(name, code, requires=(), entry=None, target=""):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        (folder / "entry_points.txt").write_text(
            f"[harness]\n{entry or name} = {':'.join(filter(None, (module, target)))}\n"
        )
        modules.append(module)
        importlib.invalidate_caches()

    yield write
    for module in modules:
        sys.modules.pop(module, None)


# ── discovery ─────────────────────────────────────────────────────────────────────────────────────


def test_an_installed_plugin_is_found_with_the_distribution_that_brings_it(install):
    install("harness-good", GOOD)
    catalogue = Catalogue.discover()
    assert catalogue.method("good").title == "a method"
    assert catalogue.owner("method", "good") == "harness-good"
    assert catalogue.owner("method", "pixels") == "fsl-harness"


def test_a_plugin_whose_import_fails_is_listed_and_stops_nothing(install):
    install("harness-bad", "import no_such_module_anywhere\n", entry="bad")
    install("harness-good", GOOD)
    catalogue = Catalogue.discover()
    assert "good" in catalogue.methods
    assert Broken("harness-bad", "ModuleNotFoundError: No module named 'no_such_module_anywhere'", "bad") in (
        catalogue.broken
    )
    with pytest.raises(PluginError, match="method 'bad' is installed but broken: ModuleNotFoundError"):
        catalogue.method("bad")


@pytest.mark.parametrize("code", ["import sys; sys.exit('bye')", "raise SystemExit('bye')"])
def test_a_plugin_that_exits_at_import_is_listed_and_stops_nothing(install, code):
    install("harness-bad", code)
    assert [broken.reason for broken in Catalogue.discover().broken] == ["SystemExit: bye"]


def test_an_error_of_several_lines_is_listed_as_one(install):
    install("harness-bad", "raise ValueError('first\\n  second')")
    assert [broken.reason for broken in Catalogue.discover().broken] == ["ValueError: first second"]


@pytest.mark.parametrize("requirement", ["fsl-harness>=99", "FSL_Harness >= 99", "fsl-harness<0.0.1"])
def test_a_plugin_for_another_version_is_told_so_before_its_import(install, requirement):
    install("harness-new", "import not_even_tried", requires=[requirement], entry="new")
    (broken,) = Catalogue.discover().broken
    assert broken.plugin == "harness-new"
    assert f"installed is {harness.__version__}" in broken.reason
    assert "pip install -U" in broken.reason


@pytest.mark.parametrize(
    "requirement", ["fsl-harness>=0.1", "numpy>=99", "fsl-harness>=99; python_version < '3'", "fsl-harness[html]"]
)
def test_other_requirements_are_pips_affair(install, requirement):
    install("harness-good", GOOD, requires=[requirement])
    assert "good" in Catalogue.discover().methods


def test_what_a_plugin_prints_does_not_reach_standard_output(install, capsys):
    install("harness-good", "print('at import')\n" + GOOD.replace("    stages", "    print('in hook')\n    stages", 1))
    assert "good" in Catalogue.discover().methods
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["at import", "in hook"]


def test_an_entry_point_may_name_an_object(install):
    method = "".join(f"    {line}\n" for line in GOOD.replace("methods()", "methods(self)").splitlines()[3:])
    install("harness-good", f"import harness\nclass Plugin:\n{method}\nplugin = Plugin()\n", target="plugin")
    assert "good" in Catalogue.discover().methods

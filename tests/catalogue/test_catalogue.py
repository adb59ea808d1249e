"""harness/catalogue/catalogue.py: installed plugins are found, and a broken one stops nothing."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

import harness
from harness.catalogue.catalogue import Catalogue
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
    (broken,) = catalogue.broken
    assert (broken.plugin, broken.name) == ("harness-bad", "bad")
    assert re.fullmatch(
        r"ModuleNotFoundError: No module named 'no_such_module_anywhere' \(/.*/harness_bad\.py, line 1\): install it "
        "beside the harness, and name it in the plugin's dependencies",
        broken.reason,
    )
    with pytest.raises(PluginError, match="method 'bad' is installed but broken: ModuleNotFoundError"):
        catalogue.method("bad")


@pytest.mark.parametrize("code", ["import sys; sys.exit('bye')", "raise SystemExit('bye')"])
def test_a_plugin_that_exits_at_import_is_listed_and_stops_nothing(install, code):
    install("harness-bad", code)
    (broken,) = Catalogue.discover().broken
    assert re.fullmatch(r"SystemExit: bye \(/.*/harness_bad\.py, line 1\)", broken.reason)


def test_an_error_of_several_lines_is_listed_as_one(install):
    install("harness-bad", "raise ValueError('first\\n  second')")
    (broken,) = Catalogue.discover().broken
    assert re.fullmatch(r"ValueError: first second \(/.*/harness_bad\.py, line 1\)", broken.reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import json\n\njson.loads('{')", r"JSONDecodeError: Expecting .* \(/.*/harness_bad\.py, line 3\)"),
        ("from harness import Recpie", r"ImportError: cannot import name 'Recpie' .* \(/.*/harness_bad\.py, line 1\)"),
        ("import harness.recipes", r"ModuleNotFoundError: .*'harness\.recipes' \(/.*/harness_bad\.py, line 1\)"),
        ("\nfor", r"SyntaxError: invalid syntax \(harness_bad\.py, line 2\)"),
        ("import harness\nraise harness.HarnessError('Run: pip install it')", r"Run: pip install it"),
    ],
)
def test_an_import_that_fails_is_told_with_the_plugins_own_line(install, code, reason):
    install("harness-bad", code)
    (broken,) = Catalogue.discover().broken
    assert re.fullmatch(reason, broken.reason)


def test_a_library_that_takes_part_in_finding_plugins_is_not_their_line(install):
    pytest.importorskip("importlib_metadata", reason="importlib_metadata is not installed")
    install("harness-bad", "raise ValueError('no')")
    (broken,) = Catalogue.discover().broken
    assert re.fullmatch(r"ValueError: no \(/.*/harness_bad\.py, line 1\)", broken.reason)


def test_an_entry_point_without_its_module_is_told(install, tmp_path):
    install("harness-bad", "")
    (tmp_path / "harness_bad.py").unlink()
    (broken,) = Catalogue.discover().broken
    assert broken.reason == "ModuleNotFoundError: No module named 'harness_bad'"


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

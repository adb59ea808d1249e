"""Plugins for the tests of the catalogue, right and wrong ones, and what installs one."""

from __future__ import annotations

import shutil
import tomllib
from types import SimpleNamespace

import harness
from harness.catalogue.catalogue import Catalogue
from harness.contract.hooks import hookimpl


def a_method(name="mine", **about):
    stages = about.pop("stages", lambda options: [harness.Stage("only", lambda context: None)])
    return harness.MethodSpec(name, "a method", "", about.pop("options", harness.MethodOptions), stages, **about)


def install_method(site, fit):
    """A plugin in a folder of ``sys.path``: the method crash, of one stage whose training is the statement ``fit``."""
    about = site / "harness_crash-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-crash\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[harness]\ncrash = crash\n")
    (site / "crash.py").write_text(
        "import os, sys, time, harness\n"
        f"def fit(context, learner):\n    {fit}\n"
        "def build(context):\n"
        "    from harness.networks.learners import FeatureNetwork\n    return FeatureNetwork(context)\n"
        "CRASH = harness.MethodSpec('crash', 'dies', '', harness.MethodOptions,"
        " lambda options: [harness.Stage('crash', build, fit)])\n"
        "@harness.hookimpl\ndef harness_methods():\n    return [CRASH]\n"
    )


def offering(**hooks):
    """A plugin object with these hooks, each given as what it returns or as a function."""
    plugin = SimpleNamespace()
    for name, value in hooks.items():

        def function(value=value):
            return value() if callable(value) else value

        function.__name__ = name
        # pluggy takes a default argument for none of the hook's
        setattr(plugin, name, hookimpl(lambda function=function: function()))
    return plugin


def reason(plugin, name="odd"):
    """Why a catalogue refuses ``plugin``; the good one beside it must stay."""
    catalogue = Catalogue([("good-plugin", offering(harness_methods=[a_method("good")])), (name, plugin)])
    assert list(catalogue.methods) == ["good"]
    assert [broken.plugin for broken in catalogue.broken] == [name]
    assert "\n" not in catalogue.broken[0].reason
    return catalogue.broken[0].reason


def install(folder, site):
    """What pip does with a pure Python project: its modules and its metadata side by side."""
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    project, setuptools = pyproject["project"], pyproject["tool"]["setuptools"]
    for package in setuptools.get("packages", ()):
        shutil.copytree(folder / package, site / package)
    for module in setuptools.get("py-modules", ()):
        site.mkdir(exist_ok=True)
        shutil.copy(folder / f"{module}.py", site)
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    requires = "".join(f"Requires-Dist: {requirement}\n" for requirement in project["dependencies"])
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n{requires}"
    )
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["harness"].items())
    (about / "entry_points.txt").write_text(f"[harness]\n{points}")

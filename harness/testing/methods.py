"""The contract of a method, checked by training it for seconds in the real pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.testing.check import Check, demand, first, tried

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset
    from harness.contract.methods import MethodSpec

LIGHT = """
import importlib, importlib.util, sys
from harness.catalogue.validation import validate
from harness.contract.methods import MethodSpec
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
for name in filter(there, sys.argv[1:]):
    for value in list(vars(importlib.import_module(name)).values()):
        if isinstance(value, MethodSpec):
            validate(value)
sys.exit(3 if "torch" in sys.modules else 0)
"""


def check_method(spec: MethodSpec, dataset: Dataset | None = None, options: Mapping[str, Any] | None = None) -> None:
    """Check that a method keeps the contract, by training every stage of it a few times on a tiny dataset.

    Args:
        spec: the method.
        dataset: what it is trained on; ``tiny_dataset()`` by default.
        options: values for its options, where its preset ``quick`` (else its first one, else its defaults) with
            800 images a stage would take too long.
    Raises:
        PluginError: a promise that it breaks, and how.
    """
    demand(spec.name, method_checks(spec, dataset, options))


def method_checks(
    spec: MethodSpec, dataset: Dataset | None = None, options: Mapping[str, Any] | None = None
) -> Generator[Check, None, None]:
    """The checks of ``check_method``, one after the other. They end where one fails that the rest build on."""
    from harness.catalogue.catalogue import Catalogue
    from harness.catalogue.validation import validate

    installed = Catalogue.discover()
    for claim, find in (
        ("its spec is valid", lambda: validate(spec)),
        ("its head exists", lambda: _head(spec, installed)),
        ("every preset resolves on every dataset", lambda: _presets(spec, installed)),
        ("importing it imports no torch", lambda: _check_import_without_torch(spec)),
    ):
        check = tried(claim, find)
        yield check
        if check.problem is not None:
            return

    from harness.testing.trial import Trial

    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        yield from Trial(spec, dataset, options or {}, installed, Path(folder)).checks()


def _head(spec: MethodSpec, installed: Catalogue) -> str | None:
    if spec.head is None:
        return None
    if spec.head.views < 1:
        return f"it has {spec.head.views} views; 1 is the image alone"
    installed.head(spec.head)
    return None


def _presets(spec: MethodSpec, installed: Catalogue) -> str | None:
    from harness.contract.presets import resolve

    for preset in spec.presets or [""]:
        for name in installed.datasets:
            spec.stages(resolve(spec, preset, name))
    return first(
        f"the preset {name!r} has no description" for name, preset in spec.presets.items() if not preset.description
    )


def _check_import_without_torch(spec: MethodSpec) -> str | None:
    """Import the method's package and module in a process of their own. Modules of tests are none, so they pass."""
    module = getattr(spec.stages, "__module__", "__main__")
    names = [name for name in dict.fromkeys((module.partition(".")[0], module)) if name != "__main__"]
    if not names:
        return None  # defined in a script
    result = _imported_alone(tuple(names), os.pathsep.join(filter(None, sys.path)))
    if result.returncode == 3:
        return f"importing {' and '.join(names)} does: import torch where it is used, in build and fit"
    return result.stderr.strip().splitlines()[-1] if result.returncode else None


@cache  # the methods of a plugin are checked one after the other; what this process has imported stays the same too
def _imported_alone(names: tuple[str, ...], path: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", LIGHT, *names], env=environment, capture_output=True, text=True)

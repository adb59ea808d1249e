"""What runs in the page, and the policy that lets nothing else run: every script and style is named by its hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import resources
from importlib.metadata import version

from harness.common.errors import HarnessError
from harness.common.files import write_text
from harness.datasets.prepared.locations import cache_root

PACKAGE = "harness.reports.formats.page"
SCRIPTS = ("page", "theme", "copy", "tables", "figures", "episodes")
STYLES = ("base", "tables", "parts", "episodes", "narrow", "print")


def vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from vl-convert.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise missing("vl-convert-python") from None
    script = _bundle(vl_convert.javascript_bundle, version("vl-convert-python"))
    if "</script" in script.lower() or "<!--" in script:
        raise HarnessError("vl-convert's script cannot stand in a page: install vl-convert-python 1.9")
    return script


@cache
def _bundle(make: Callable[[], str], number: str) -> str:
    """What ``make`` takes seconds for, from the cache folder where that has it, and kept there where that can be."""
    file = cache_root() / f"vega-{number}.js"
    with suppress(OSError, UnicodeDecodeError):
        return file.read_text(encoding="utf-8")
    script = make()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, script)
    return script


def missing(library: str) -> HarnessError:
    return HarnessError(f"the html report needs {library}. Run: pip install 'fsl-harness[html]'")


def own_script() -> str:
    parts = "".join(read("scripts", f"{name}.js") for name in SCRIPTS)
    return f'(function () {{\n"use strict";\n{parts}}})();\n'


def style() -> str:
    return "".join(read("styles", f"{name}.css") for name in STYLES)


def read(folder: str, name: str) -> str:
    return resources.files(PACKAGE).joinpath(folder, name).read_text(encoding="utf-8")


def policy(scripts: list[str], styles: list[str]) -> str:
    """The Content-Security-Policy: these scripts and styles, images that stand in the page, and no request at all."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

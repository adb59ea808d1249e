"""Why a plugin could not be imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import traceback

from harness.common.errors import HarnessError, one_line

ON_THE_WAY = (os.path.dirname(__file__), os.path.dirname(importlib.__file__))  # files that import plugins
BACKPORT = f"{os.sep}importlib_metadata{os.sep}"  # which takes part once another library has imported it


def why_not_imported(error: BaseException) -> str:
    """One line: what is wrong with a plugin, in which line of which of its files, and what to do about it."""
    text = one_line(error)
    if isinstance(error, HarnessError | SyntaxError):  # which say where, or what to do
        return text
    places = [
        place
        for place in traceback.extract_tb(error.__traceback__)
        if not place.filename.startswith(("<frozen ", *ON_THE_WAY)) and BACKPORT not in place.filename
    ]
    if not places:
        return text
    folder = os.path.dirname(places[0].filename)  # of the plugin, whatever else it imports
    place = [place for place in places if place.filename.startswith(folder)][-1]
    text = f"{text} ({place.filename}, line {place.lineno})"
    if isinstance(error, ModuleNotFoundError) and error.name and not _is_installed(error.name):
        text += ": install it beside the harness, and name it in the plugin's dependencies"
    return text


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None

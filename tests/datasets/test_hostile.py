"""Hundreds of hostile files, over every reader and position: read or refused in one line, in bounded memory."""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest

from tests.helpers.hostile_files import run_all

ALL = "all" if os.environ.get("HARNESS_HOSTILE") == "all" else "light"  # all: those that take seconds, too
AREAS = {"pickle": 300, "npz": 40, "zip": 30, "tar": 40, "csv": 40, "image": 60, "prepared": 200}  # at least as many


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a case is read from /proc, as Linux has it")
def test_hostile_files_are_read_or_refused_in_one_line_and_in_bounded_memory() -> None:
    results = run_all(ALL)
    faults = {result.name: result.faults for result in results if result.faults}
    assert faults == {}
    tried = Counter(result.name.partition(":")[0] for result in results)
    assert {area for area, least in AREAS.items() if tried[area] < least} == set()

"""harness/reports/formats/terminal.py: a report in lines that fit."""

from __future__ import annotations

import re

import pytest

from harness.reports.formats.markdown import markdown
from harness.reports.formats.terminal import fitting


@pytest.fixture
def report(runs):
    return runs().add("rfs/simple", 0.6).add("skd/gen0", 0.7).add("skd/gen1", 0.8).report(baseline="rfs/simple")


@pytest.mark.parametrize("width", [66, 80, 100, 200])
def test_lines_are_no_longer_than_the_terminal_is_wide(report, width):
    assert max(map(len, fitting(report, width).splitlines())) <= width


def test_accuracies_stay_whatever_has_to_go(report):
    cells = set(re.findall(r"-?\d+\.\d\d ± \d+\.\d\d", markdown(report)))
    assert cells
    assert cells == set(re.findall(r"-?\d+\.\d\d ± \d+\.\d\d", fitting(report, 66)))


def test_what_was_left_out_is_told_and_nothing_is_where_there_is_room(report):
    narrow, wide = fitting(report, 66), fitting(report, 200)
    assert "memory" not in narrow.split("for want of room")[0].split("(without")[0]
    assert "(without memory, TFLOP, images seen" in narrow
    assert "for want of room" not in wide
    assert "memory" in wide

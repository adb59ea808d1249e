"""harness/cli/progress.py: what a bench says of broken plugins and of options in vain, and how often."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.events import BenchStarted
from harness.catalogue.catalogue import Catalogue
from harness.cli.progress import Display
from harness.common.errors import PluginError
from harness.contract.results import StageFailure
from harness.execution.events import JobDone, JobEvent, JobStarted, Note
from tests.helpers.plugins import offering

WARNING = "warning: plugin odd-plugin is left out: harness_methods() returned a int: put it into a list"


@pytest.fixture
def broken():
    return Catalogue([("odd-plugin", offering(harness_methods=5))])


@pytest.fixture
def lines(capsys):
    """What stands on standard error, without the breaks of a narrow terminal."""
    return lambda: capsys.readouterr().err.replace("\n", " ").strip()


def test_a_broken_plugin_is_told_once_when_benches_start(broken, lines):
    with Display(broken) as display:
        assert lines() == ""
        display(BenchStarted([]))
        display(BenchStarted([]))
    assert lines() == WARNING


def test_a_broken_plugin_is_told_where_something_else_ends_the_bench_before_its_start(broken, lines):
    with pytest.raises(PluginError), Display(broken):
        raise PluginError("unknown method 'mine'")
    assert lines() == WARNING


def test_a_broken_plugin_is_not_told_twice_where_the_error_is_about_it(broken, lines):
    with pytest.raises(PluginError, match="'odd-plugin' is installed but broken: harness_methods"), Display(broken):
        broken.method("odd-plugin")
    assert lines() == ""


def test_a_note_is_told_once(broken, lines):
    with Display(Catalogue()) as display:
        for text in ("one", "other", "one"):
            display(Note(text))
    assert lines() == "one other"


class Job(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize("level", ["quiet", "usual"])
def test_a_quiet_display_shows_failures_alone(lines, level):
    job = Job(
        name="rfs/simple",
        label="rfs",
        stage="simple",
        method="rfs",
        seed=0,
        key="k",
        folder=Path("runs/stages/x"),
        backbone=None,
        source=SimpleNamespace(dataset="tiny"),
        identity=SimpleNamespace(options={}, data=""),
    )
    with Display(Catalogue(), level) as display:
        display.status("loading methods and data")
        display(BenchStarted([job]))
        display(JobEvent(job, JobStarted()))
        display(Note("something"))
        display(JobEvent(job, JobDone(StageFailure("k", "it broke"), reused=False)))
    said = lines()
    assert said.endswith("tiny rfs/simple seed 0: FAILED: it broke (details: runs/stages/x/failure.txt)")
    assert said.startswith("tiny rfs/simple seed 0: FAILED") == (level == "quiet")

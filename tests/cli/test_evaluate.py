"""harness evaluate --against: rows of other benches beside stages that are scored again."""

from __future__ import annotations

import shutil

import pytest

from harness.cli.main import main
from harness.runs import load_benches


@pytest.fixture
def folder(small_runs, tmp_path):
    """A copy of the small bench, and one of its rows in a file beside it."""
    folder = shutil.copytree(small_runs, tmp_path / "runs")
    assert main(["runs", "export", str(tmp_path / "theirs.json"), str(folder), "--row", "rfs/simple"]) == 0
    return folder


def evaluate(folder, *arguments):
    theirs = str(folder.parent / "theirs.json")
    return main(["evaluate", str(folder), "--executor", "inline", "-q", "--against", theirs, *arguments])


def test_a_row_from_a_file_is_the_baseline_of_what_is_scored_again(folder, capsys):
    capsys.readouterr()
    assert evaluate(folder, "--classifier", "cosine", "--baseline", "theirs.json:rfs/simple", "--equivalent", "50") == 0
    text = capsys.readouterr().out
    assert "Paired differences from theirs.json:rfs/simple" in text
    assert "not of this run folder but from the file theirs.json" in text
    plan = load_benches(folder)[-1].plan
    assert (plan.classifier, plan.baseline, plan.equivalent) == ("cosine", None, None)


def test_other_episodes_end_it_before_anything_is_scored(folder, capsys):
    before = sorted(folder.rglob("*.npz"))
    assert evaluate(folder, "--episodes", "11") == 2
    assert "theirs.json met other episodes" in capsys.readouterr().err
    assert sorted(folder.rglob("*.npz")) == before
    assert len(load_benches(folder)) == 1

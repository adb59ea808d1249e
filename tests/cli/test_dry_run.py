"""harness/cli/dry_run.py: what ``--dry-run`` prints."""

from __future__ import annotations

import shutil

import pytest

from harness.catalogue.catalogue import Catalogue
from harness.cli.dry_run import UNKNOWN
from harness.cli.main import main

FLAGS = "--device cpu --threads 1 --executor inline --episodes 12 --queries 4 --shots 2 --budget 320"


@pytest.fixture
def run(small_runs, tmp_path, monkeypatch, capsys):
    """Run ``harness … --dry-run`` beside a copy of a finished run folder: exit status, standard output and error."""
    shutil.copytree(small_runs, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main([*arguments, "--dry-run"])
        return status, *capsys.readouterr()

    return run


def cells(out):
    """The lines of the table: seeds, what and time of each stage."""
    table = out.split("\n\n")[0].splitlines()
    breaks = [0, *(at for at, letter in enumerate(table[1]) if letter == " " and table[1][at - 1] == " ")]
    rows = [[line[a:b].strip() for a, b in zip(breaks, [*breaks[1:], None], strict=True)] for line in table[2:]]
    return {tuple(row[:2]): row[2:] for row in rows}


def test_a_bench_is_foretold_in_a_table(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    flags = ["--rows", "pixels,rfs/simple", "--seeds", "3,4,5", "--precision", "32", *FLAGS.split()]
    status, out, err = run("bench", "--methods", "rfs", *flags)
    assert (status, err) == (0, "")
    lines = cells(out)
    assert lines["pixels", "3"] == ["kept", "-"]
    assert lines["pixels", "4-5"][0] == "score, nothing to train"
    assert lines["rfs/simple", "3"] == ["kept", "-"]
    assert lines["rfs/simple", "4-5"][0] == "train"
    assert lines["rfs/simple", "4-5"][1].startswith("2 × about ")
    assert "6 stages: 2 to train, 2 to score, 2 kept from before\n" in out
    assert "time: about " in out
    assert "room: about " in out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bench_without_a_past_says_so(run, tmp_path):
    status, out, _ = run("bench", "--methods", "rfs", "--no-floors", "--output", "new", *FLAGS.split())
    assert status == 0
    assert cells(out) == {("rfs/simple", "0"): ["train", UNKNOWN], ("rfs/distill-1", "0"): ["train", UNKNOWN]}
    assert "time: unknown, since no stage like them was trained in new on this machine (" in out
    assert not (tmp_path / "new").exists()


def test_datasets_are_named_where_there_are_several(run, catalogue, monkeypatch):
    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    _, out, _ = run("bench", "--methods", "rfs", "--rows", "pixels", "--dataset", "tiny,glyphs", *FLAGS.split())
    assert [line.split()[:2] for line in out.splitlines()[2:4]] == [["tiny", "pixels"], ["glyphs", "pixels"]]


def test_a_scoring_is_foretold(run):
    status, out, _ = run(
        "evaluate", "runs", "--shots", "1", "--device", "cpu", "--threads", "1", "--executor", "inline"
    )
    assert status == 0
    assert {what for what, _ in cells(out).values()} == {"score"}
    assert "3 stages: 3 to score\n" in out


@pytest.mark.parametrize("flags", [["--methods", "rsf"], ["--output", "/proc/nowhere"], ["--shots", "one"]])
def test_a_mistake_is_one_line_as_without_it(run, flags, capsys):
    status, out, err = run("bench", *flags, "--executor", "inline")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert main(["bench", *flags, "--executor", "inline"]) == 2
    assert capsys.readouterr().err == err

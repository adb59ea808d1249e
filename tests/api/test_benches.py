"""harness/api: a bench and its results from Python are what the command line gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

import harness
from harness.api.benches import COLUMNS
from harness.cli.main import main

SMALL = {"budget": 320, "episodes": 12, "queries": 4, "shots": [2], "device": "cpu", "threads": 1, "precision": "32"}


def test_a_bench_of_the_same_plan_is_not_run_again_and_gives_the_same_table(small_runs, capsys):
    results = harness.bench(
        ["rfs", "relation"],
        rows="pixels,rfs/simple,relation",
        seeds="3",
        executor="inline",
        output=small_runs,
        progress=True,
        **SMALL,
    )
    assert "images seen" not in capsys.readouterr().err
    assert main(["report", str(small_runs)]) == 0
    assert str(results) == capsys.readouterr().out
    assert results.failures == {}
    assert [row.name for row in results.report.tables[0].rows] == ["pixels", "rfs/simple", "relation"]


def test_the_frame_has_the_documented_columns_and_dtypes(small_runs):
    for baseline in (None, "rfs/simple"):
        frame = harness.load_results(small_runs, baseline=baseline)
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS
    closed = frame[frame.interval == "closed"].set_index("method")
    assert set(closed.index) == {"pixels", "rfs/simple", "relation"}
    assert closed.accuracy.between(0.2, 1).all()
    assert closed.loc["relation", "k_shot"] == 2


def test_results_are_saved_in_the_format_of_the_ending(small_runs, tmp_path):
    results = harness.open_results(small_runs).compared_with("rfs/simple")
    results.save(tmp_path / "table.csv")
    lines = pd.read_csv(tmp_path / "table.csv")
    assert lines.difference.notna().any()
    with pytest.raises(harness.HarnessError, match=r"ending"):
        results.save(tmp_path / "table.docx")


def test_in_a_notebook_results_show_their_table_with_labels_escaped(small_runs):
    shown = harness.open_results(small_runs, baseline="rfs/simple")._repr_html_()
    assert shown.count("<table>") == 2
    for row in harness.load_results(small_runs).query("interval == 'closed'").itertuples():
        assert f"{100 * row.accuracy:.2f} ± {100 * row.half_width:.2f}" in shown
    assert "<script" not in shown


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 3}, "unknown setting of a bench 'epochs'"),
        ({"shots": "one"}, "no whole number"),
        ({"seeds": [-1]}, "--seeds"),
        ({"dataset": "glyps"}, "Did you mean 'glyphs'?"),
    ],
)
def test_a_wrong_setting_is_told_as_on_the_command_line(settings, message, tmp_path):
    with pytest.raises(harness.HarnessError, match=message):
        harness.bench("rfs", output=tmp_path / "runs", progress=False, executor="inline", **settings)


def test_a_script_without_a_main_guard_runs_its_bench_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import harness\n"
        "print('begun')\n"
        "results = harness.bench('rfs', rows='pixels', floors=True, episodes=5, shots=[1], device='cpu', threads=1)\n"
        "print(results)\n"
    )
    result = subprocess.run([sys.executable, script], cwd=tmp_path, env={**os.environ}, text=True, capture_output=True)
    assert result.stdout.startswith("begun\n## glyphs"), result.stderr
    assert "| pixels" in result.stdout
    assert "failed" not in result.stdout

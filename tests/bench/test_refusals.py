"""harness/bench/bench.py: what cannot be is one line before any training."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.contract.methods import Stage
from tests.helpers.bench import weights


def test_an_unwritable_output_is_told_in_one_line(run_bench, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunsError, match=r"cannot write to .*file"):
        run_bench(output=blocked / "runs")


def test_a_baseline_that_is_no_row_is_refused_before_any_training(run_bench, tmp_path):
    with pytest.raises(UnknownName, match=r"'rfs/simpel'\. Did you mean 'rfs/simple'"):
        run_bench(baseline="rfs/simpel")
    assert not weights(tmp_path / "runs")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"way": (9,)}, "7"),
        ({"queries": 40}, "class"),
        ({"dataset": ("tiney",)}, "Did you mean 'tiny'"),
        ({"dataset": ("./photos",)}, "For your own images there, write folder:./photos"),
        ({"dataset": ("~/photos",)}, "write folder:~/photos"),
        ({"split": "60/20/20"}, "--split: for folder:PATH alone; tiny has a split of its own"),
        ({"skip_damaged": True}, "--skip-damaged: for folder:PATH alone"),
        ({"methods": ("rfz",)}, "Did you mean 'rfs'"),
        ({"backbone": "conv5"}, "Did you mean 'conv4'"),
        ({"classifier": "cosin"}, "Did you mean 'cosine'"),
        ({"preset": "papr"}, "Did you mean 'paper'"),
        ({"set": {"rfs.generation": 1}}, "Did you mean 'generations'"),
        ({"set": {"skd.alpha": 1}}, "label in --set 'skd'"),
        ({"set": {"rfs.temperature": "hot"}}, "rfs.temperature"),
        ({"methods": ("rfs", "rfs:paper")}, "two methods are labelled 'rfs'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run_bench, tmp_path, values, message):
    with pytest.raises(HarnessError) as caught:
        run_bench(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("stages/*"))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (lambda options: 1 / 0, "stages() failed: ZeroDivisionError"),
        (lambda options: None, "stages() failed: TypeError"),
        (lambda options: [3], "stages() returned a int"),
        (lambda options: [], "no stages"),
        (lambda options: [Stage("a", None), Stage("a", None)], "two stages are named 'a'"),
        (lambda options: [Stage("a", None, parent="b")], "its parent 'b' is no earlier stage"),
        (lambda options: [Stage("a", None, reads=("nope",))], "unknown option read by rfs/a 'nope'"),
    ],
)
def test_stages_that_cannot_be_are_told_before_anything_runs(run_bench, catalogue, stages, message):
    catalogue.methods["rfs"] = replace(catalogue.methods["rfs"], stages=stages)
    with pytest.raises(HarnessError, match=re.escape(message)):
        run_bench()

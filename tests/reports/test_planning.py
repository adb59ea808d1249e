"""harness/reports/planning.py: how many episodes, and whether a split has them."""

from __future__ import annotations

import pytest

from harness.reports.planning import requirements
from harness.runs import load_benches


def lines_of(bench, difference):
    """Lines of ``harness power`` by row, for the first setting."""
    (record,) = load_benches(bench.save().output)
    lines = requirements(bench.output, record, None, difference, 0.8)
    return {line["row"]: line for line in reversed(lines)}


@pytest.fixture
def few(runs):
    """A split of 20 classes x 30 images, which holds 20 open episodes of 5-way 1-shot with 5 queries."""
    return runs(baseline="a/x", seeds=(0, 1, 2), n_images=30).add("a/x", 0.5).add("bb/x", 0.52)


def test_what_the_split_does_not_hold_is_said(few):
    line = lines_of(few, 0.002)["bb/x"]
    assert line["measured (episodes x seeds)"] == "20 x 3, all there are"
    assert line["episodes at 10 seeds"] == "never" or line["episodes at 10 seeds"] > 20
    assert line["verdict"] == "not on this split"


def test_what_the_split_holds_is_said_with_the_seeds_that_are_enough(few):
    line = lines_of(few, 0.3)["bb/x"]
    assert line["episodes at 10 seeds"] <= 20
    assert line["verdict"].startswith("enough at ")
    assert line["verdict"].endswith("10 seeds")


def test_a_split_that_may_hold_more_is_not_judged(runs):
    bench = runs(baseline="a/x", seeds=(0, 1, 2), n_images=60).add("a/x", 0.5).add("bb/x", 0.52)
    line = lines_of(bench, 0.004)["bb/x"]
    assert line["measured (episodes x seeds)"] == "40 x 3"
    assert line["verdict"] == "more than 40 open episodes, if the split has them"


def test_the_baseline_under_a_second_label_needs_no_plan(few):
    second = {"label": "a2", "row": "a2/x"}
    few.stages.extend(stage.model_copy(update=second) for stage in few.stages[:3])
    assert set(lines_of(few, 0.02)) == {"bb/x"}

"""What a report says of predictions: csv by query, episode, class and pair, and where a method fails."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.common.errors import HarnessError
from harness.contract.data import Split
from harness.contract.episodes import EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.reports.build import build_report
from harness.reports.failures import confused_pairs
from harness.reports.formats.markdown import markdown
from harness.reports.formats.values import csv, to_json
from harness.reports.model import View
from harness.reports.predictions import Queries
from harness.runs import StageFolder
from harness.statistics.confusion import Confusion

KEPT = "harness evaluate RUNS"


@pytest.fixture
def reported(run_bench, tmp_path):
    """The run folder, its record and a function to csv."""
    record = run_bench(methods=("pixels", "untrained"), seeds=(0, 1))

    def lines(what):
        report = build_report([(tmp_path / "runs", record)])
        return pd.read_csv(io.StringIO(csv(replace(report, view=View(what=what)))))

    return tmp_path / "runs", record, lines


def test_lines_of_queries_give_the_accuracies_and_the_other_lines(reported, tiny):
    runs, record, lines = reported
    queries = lines("predictions")
    labels = np.asarray(tiny.test.labels)[queries["image"]]
    assert (np.array(tiny.test.class_names)[labels] == queries["true"]).all()
    queries["right"] = queries["true"] == queries["predicted"]
    by = ["method", "seed", "setting", "target"]
    for stage in record.tables[0].stages:
        for key in stage.scores:
            score = StageFolder(runs / stage.folder).load_score(key).score
            chosen = queries[(queries[by] == [stage.row, stage.seed, str(score.episodes), score.target]).all(axis=1)]
            np.testing.assert_allclose(chosen.groupby("episode").right.mean(), score.accuracies, atol=1e-9)
    by_episode = queries.groupby([*by, "episode"]).right.sum()
    assert lines("episodes").set_index([*by, "episode"]).right.sort_index().equals(by_episode.sort_index())
    by_class = queries.groupby(["method", "setting", "target", "true"]).right.mean()
    found = lines("classes").set_index(["method", "setting", "target", "class"]).accuracy.dropna()
    np.testing.assert_allclose(found.sort_index(), by_class.sort_index())
    pairs = queries.groupby(["method", "setting", "target", "true", "predicted"]).size()
    found = lines("confusion").set_index(["method", "setting", "target", "class", "taken_for"]).queries
    assert found[found > 0].sort_index().tolist() == pairs.sort_index().tolist()


def test_failures_are_in_the_model_json_and_markdown_where_asked(reported):
    runs, record, _ = reported
    report = build_report([(runs, record)], failures=True)
    plain = build_report([(runs, record)])
    assert "worst 5 %" in markdown(report)
    assert "worst 5 %" not in markdown(plain)
    row = json.loads(to_json(report))["tables"][0]["rows"][0]
    kept = [
        StageFolder(runs / stage.folder).load_score(stage.scores[0]).score.accuracies
        for stage in record.tables[0].stages
        if stage.row == row["name"]
    ]
    failures = next(iter(row["cells"].values()))["failures"]
    assert failures["n_worst"] == 1  # of 20 episodes
    assert failures["worst"] == pytest.approx(np.mean([values.min() for values in kept]))
    assert all(0 < pair["rate"] <= 1 and pair["episodes"] >= 10 for pair in failures["confused"])


def test_runs_without_predictions_are_reported_as_before_and_csv_says_what_to_do(run_bench, tmp_path):
    record = run_bench(methods=("pixels",), predictions=False)
    report = build_report([(tmp_path / "runs", record)], failures=True)
    assert "pixels" in markdown(report)
    with pytest.raises(HarnessError, match=KEPT):
        csv(replace(report, view=View(what="predictions")))


def test_with_rows_that_have_them_those_of_one_that_has_none_are_left_out(reported):
    runs, record, lines = reported
    stage = record.tables[0].stages[0]
    for key in stage.scores:
        StageFolder(runs / stage.folder).predictions_file(key).unlink()
    assert stage.row not in set(lines("predictions")["method"])


def test_varied_episodes_have_only_their_own_queries_and_classes():
    labels = np.repeat(np.arange(8), 20)
    split = Split("test", np.zeros((160, 1, 1, 3), np.uint8), labels, tuple("abcdefgh"), "x")
    episodes = sample_episodes(split, EpisodeSpec(6, 3, 4, least_way=2, least_shot=1), 25, 0)
    queries = Queries.of(episodes)
    for e, (way, _) in enumerate(episodes.shapes):
        assert (queries.true[e] >= 0).sum() == 4 * way
        assert queries.classes[e].tolist() == episodes.classes[e, :way].tolist() + [-1] * (6 - way)
        there = queries.true[e] >= 0
        assert (labels[queries.images[e][there]] == queries.true[e][there]).all()


def test_class_names_are_no_formulas_in_a_spreadsheet():
    from harness.reports.formats.lines import _safe

    assert [_safe(name) for name in ("=1+1", "@x", "-a", "cat")] == ["'=1+1", "'@x", "'-a", "cat"]


def test_pairs_that_met_rarely_are_not_called_the_most_confused():
    counts, met = np.array([[5, 4], [1, 9]]), np.array([[10, 10], [10, 10]])
    often = Confusion(counts, met, np.full((2, 2), 10))
    assert [(pair.true, pair.taken_for, pair.rate) for pair in confused_pairs(often, "ab")] == [
        ("a", "b", 0.4),
        ("b", "a", 0.1),
    ]
    assert confused_pairs(Confusion(counts, met, np.full((2, 2), 9)), "ab") == ()

"""harness/reports/marks.py: rows that learned nothing say so, in every format and in the run record."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch
from torch import nn

import harness
from harness.reports.build import build_report
from harness.reports.formats.markdown import main_rows
from tests.helpers.plugins import a_method, offering


class Collapsed(nn.Module):
    """Whatever it is shown, its features are the same."""

    def embed(self, images):
        return torch.ones(len(images), 8)


class Chaotic(nn.Module):
    """Its features differ from image to image, and say nothing of classes: a hash of the pixels."""

    def embed(self, images):
        pixels = images.flatten(1).double()
        waves = torch.linspace(1e3, 2e3, pixels.shape[1] * 16, dtype=torch.float64).view(pixels.shape[1], 16)
        return torch.cos(pixels @ waves).float()


def offer(catalogue, **learners):
    methods = [
        a_method(name, stages=lambda options, learner=learner: [harness.Stage("only", lambda context: learner())])
        for name, learner in learners.items()
    ]
    catalogue.add("learners", offering(harness_methods=methods))


@pytest.fixture
def record(run_bench, catalogue):
    """A bench of a method that collapsed, one at chance, and one that learned."""
    offer(catalogue, collapsed=Collapsed, chaotic=Chaotic)
    return run_bench(methods=("collapsed", "chaotic", "pixels"), classifier="nearest-centroid", episodes=60)


def test_a_method_that_collapses_and_one_at_chance_are_marked_and_one_that_learned_is_not(record, tmp_path):
    (table,) = build_report([(tmp_path / "runs", record)]).tables
    marks = {row.name: [(mark.kind, str(mark.spec or "")) for mark in row.marks] for row in table.rows}
    at_chance = [("chance", "5-way 1-shot"), ("chance", "5-way 5-shot")]
    assert marks == {"collapsed": [("features", ""), *at_chance], "chaotic": at_chance, "pixels": []}
    first, second, third = main_rows(table)
    assert first["method"] == "collapsed †"
    assert first["5-way 1-shot"] == "20.00 ± 0.00 †"
    assert second["method"] == "chaotic"
    assert second["5-way 5-shot"].endswith(" †")
    assert "†" not in "".join(third.values())


def test_every_format_has_the_marks_and_their_reasons(record, tmp_path, catalogue):
    report = build_report([(tmp_path / "runs", record)])
    texts = {form: catalogue.reporter(form).render(report) for form in ("markdown", "html", "latex", "csv", "json")}
    reason = "its features are all alike (the same for every image)"
    setting = "at chance in 5-way 1-shot (20.00 ± 0.00, chance 20.00)"
    assert f"- † collapsed: {reason}; {setting}; " in texts["markdown"]
    assert f"<li>† collapsed: {reason}; {setting}; " in texts["html"]
    assert '<th scope="row" role="rowheader">collapsed †</th>' in texts["html"]
    assert r"20.00\,{\scriptsize$\pm$\,0.00}\rlap{$^{\dagger}$}" in texts["latex"]
    assert rf"\footnotesize\raggedright $\dagger$ collapsed: {reason}; " in texts["latex"]
    lines = list(csv.DictReader(io.StringIO(texts["csv"])))
    for line in lines:
        says = [words in line["marks"] for words in (reason, f"chance in 5-way {line['k_shot']}-shot")]
        assert says == [line["method"] == "collapsed", line["method"] != "pixels"], line
        assert line["marks"].count("chance in") == (line["method"] != "pixels")
    rows = {row["name"]: row for row in json.loads(texts["json"])["tables"][0]["rows"]}
    assert [mark["kind"] for mark in rows["collapsed"]["marks"]] == ["features", "chance", "chance"]
    assert rows["pixels"]["marks"] == []


def test_the_run_record_has_the_marks_of_every_stage(record, tmp_path):
    [path] = (tmp_path / "runs" / "benches").glob("*.json")
    marks = {stage["row"]: stage["marks"] for stage in json.loads(path.read_text())["tables"][0]["stages"]}
    assert [len(marks[name]) for name in ("collapsed", "chaotic", "pixels")] == [3, 2, 0]
    assert marks["collapsed"][0].startswith("its features are all alike")


def test_the_spread_of_features_is_kept_with_each_score(record, tmp_path, tiny):
    spreads = {}
    for stage in record.tables[0].stages:
        for key in stage.scores:
            with np.load(tmp_path / "runs" / stage.folder / "scores" / f"{key}.npz") as file:
                spreads.setdefault(stage.row, []).append(json.loads(str(file["about"]))["feature_spread"])
    assert spreads["collapsed"] == [0.0] * 4
    images = tiny.test.images.reshape(len(tiny.test), -1) / 255.0
    expected = np.sqrt(images.var(axis=0).sum() / (images**2).sum(axis=1).mean())
    assert spreads["pixels"] == pytest.approx([expected] * 4, rel=0.05)  # of the queries, most of all images


def test_a_floor_at_chance_is_marked_like_any_row(runs):
    cells = runs().add("pixels", values=np.tile([0.1, 0.3], 100), floor=True).cells()
    assert cells["pixels"]["5-way 1-shot"].endswith(" †")


def test_one_seed_at_chance_among_others_is_named(runs):
    bench = runs(seeds=(3, 4, 5)).add("rfs/simple", (0.6, 0.2, 0.61)).add("skd/gen0", (0.6, 0.6, 0.6))
    reasons = {row.name: [mark.reason for mark in row.marks] for row in bench.report().tables[0].rows}
    assert reasons["skd/gen0"] == []
    assert reasons["rfs/simple"][0].startswith("seed 4: at chance in 5-way 1-shot (")


def test_seeds_so_different_that_their_interval_holds_chance_are_marked(runs):
    [mark, _] = runs(seeds=(0, 1, 2)).add("rfs/simple", (0.3, 0.6, 0.9)).report().tables[0].rows[0].marks
    assert mark.reason.startswith("chance lies within the interval in 5-way 1-shot (")


def test_below_chance_is_said_to_be_below(runs):
    [mark, _] = runs().add("rfs/simple", 0.05).report().tables[0].rows[0].marks
    assert mark.reason.startswith("below chance in 5-way 1-shot (")


def test_features_that_differ_in_their_last_digits_only_are_alike(runs):
    bench = runs().add("a/x", 0.6, feature_spread=3e-6).add("b/x", 0.6, feature_spread=3e-3)
    rows = {row.name: [mark.reason for mark in row.marks] for row in bench.report().tables[0].rows}
    assert rows == {"a/x": ["its features are all alike (they differ by 0.0003 % of their length)"], "b/x": []}


def test_a_record_without_spreads_is_read(runs):
    bench = runs().add("rfs/simple", 0.6).save()
    for path in bench.output.glob("stages/*/*/scores/*.npz"):
        with np.load(path) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        del about["feature_spread"]
        np.savez(path, **{**arrays, "about": np.array(json.dumps(about))})
    assert bench.report().tables[0].rows[0].marks == ()

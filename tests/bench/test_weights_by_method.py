"""Which weights each method of a bench starts from: --weights for one or all, and what a preset names."""

from __future__ import annotations

import pytest
import torch

import harness
from harness.bench.entries import entries
from harness.bench.weights import given_weights
from harness.common.errors import HarnessError
from harness.contract.plan import BenchPlan
from harness.networks.backbones.conv4 import Conv4
from harness.reports.build import build_report
from harness.reports.formats.conditions import conditions
from harness.reports.formats.html import html
from harness.reports.formats.values import frame
from tests.helpers.contract import method
from tests.helpers.plugins import offering


@pytest.fixture
def files(tmp_path):
    """Three files of weights of Conv-4, each with other values."""
    paths = [tmp_path / name for name in ("one.pth", "two.pth", "lr=0.1,best.pth")]
    for path in paths:
        torch.save(Conv4(16, 3).state_dict(), path)
    return [str(path) for path in paths]


@pytest.fixture
def starting(catalogue):
    """What each label of a plan starts from, where ``mine`` has a preset that names weights."""

    def start(file, **plan):
        presets = {"quick": harness.Preset("quick", weights=file)}
        catalogue.add("mine-plugin", offering(harness_methods=[method(presets=presets)]))
        found = entries(BenchPlan(methods=("mine", "rfs"), **plan), "tiny", catalogue)
        return {entry.label: entry.weights for entry in found}

    return start


def test_a_file_alone_is_for_the_labels_that_have_no_own(files):
    one, two, odd = files
    labels = ("rfs", "skd")
    assert given_weights(None, labels) == {}
    assert given_weights(one, labels) == {"rfs": one, "skd": one}
    assert given_weights(f"skd={two}, {one}", labels) == {"rfs": one, "skd": two}
    assert given_weights("skd=pretrained", labels) == {"skd": "pretrained"}
    assert given_weights(odd, labels) == {"rfs": odd, "skd": odd}  # with = and a comma in its name


def test_a_presets_weights_are_taken_unless_the_plan_names_others(files, starting):
    one, _, _ = files
    floors = {"pixels": None, "untrained": one}  # as its backbone, from the first method's preset
    assert starting(one) == {**floors, "mine": one, "rfs": None}


def test_none_switches_the_presets_weights_off_for_one_label(files, starting):
    one, two, _ = files
    started = starting(one, weights=f"mine=none,rfs={two}")
    assert (started["mine"], started["rfs"]) == (None, two)


def test_none_alone_switches_weights_off_for_all_that_have_no_own(files, starting):
    one, two, _ = files
    started = starting(one, weights=f"rfs={two},none")
    assert (started["mine"], started["rfs"]) == (None, two)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"weights": "two.pth"}, {"mine": "two.pth", "rfs": "two.pth"}),
        ({"weights": "mine=two.pth"}, {"mine": "two.pth", "rfs": None}),
        ({"weights": "rfs=two.pth"}, {"mine": "one.pth", "rfs": "two.pth"}),
        ({"backbone": "conv4"}, {"mine": "one.pth", "rfs": None}),
        ({"backbone": "conv4-gap"}, {"mine": None, "rfs": None}),  # the preset's are of another network
    ],
)
def test_the_plan_goes_before_the_preset(files, starting, plan, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert starting("one.pth", floors=False, **plan) == expected


def test_a_presets_file_that_is_missing_is_one_line(starting):
    with pytest.raises(HarnessError, match=r"^mine: its preset starts from gone.pth: no such file. Give another: "):
        starting("gone.pth", floors=False)


def test_each_stage_is_of_its_own_weights_and_tables_say_which(files, run_bench, tmp_path):
    one, two, _ = files
    about = {"methods": ("a=rfs", "b=rfs", "c=rfs"), "floors": False, "rows": ("*/simple",)}
    record = run_bench(weights=f"a={one},b={two}", **about)
    a, b, c = record.tables[0].stages
    assert [stage.failure for stage in (a, b, c)] == [None] * 3
    assert [stage.weights for stage in (a, b, c)] == [one, two, None]
    assert len({a.key, b.key, c.key}) == 3
    plain = run_bench(**about).tables[0].stages
    assert {stage.key for stage in plain} == {c.key}
    everywhere = run_bench(weights=one, **about).tables[0].stages
    assert {stage.key for stage in everywhere} == {a.key}

    report = build_report([(tmp_path / "runs", record)])
    lines = conditions(report.tables[0])
    assert {f"a started from {one}", f"b started from {two}"} <= set(lines)
    table = frame(report)
    assert dict(zip(table["method"], table["weights"].fillna(""), strict=True)) == {
        "a/simple": one,
        "b/simple": two,
        "c/simple": "",
    }
    assert f"conv4, {two}" in html(report)


# ── a method that learns nothing itself ───────────────────────────────────────────────────────────


def test_a_method_that_needs_weights_says_so_where_it_is_named_and_has_none(catalogue, files):
    catalogue.add("mine-plugin", offering(harness_methods=[method(needs_weights=True)]))
    with pytest.raises(HarnessError, match=r"mine learns nothing itself, .* --weights mine=FILE, or --backbone timm:"):
        entries(BenchPlan(methods=("mine", "rfs")), "tiny", catalogue)
    found = entries(BenchPlan(methods=("mine", "rfs"), weights=f"mine={files[0]}"), "tiny", catalogue)
    assert {entry.label: entry.weights for entry in found}["mine"] == files[0]


def test_among_all_methods_one_that_needs_weights_is_left_out_where_it_has_none(catalogue, files):
    catalogue.add("mine-plugin", offering(harness_methods=[method(needs_weights=True)]))
    every = BenchPlan(methods=("all",))
    assert "mine" not in {entry.label for entry in entries(every, "tiny", catalogue)}
    given = every.model_copy(update={"weights": files[0]})
    assert "mine" in {entry.label for entry in entries(given, "tiny", catalogue)}

"""harness/reports: the leaderboard over datasets and run folders, and what it refuses to compare."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.cli.main import main
from tests.helpers.reports import SPECS, Bench

DATASETS = tuple(f"data{i}" for i in range(8))


def make(folder, datasets, means, bench_id=None, **plan):
    """A bench a dataset in one run folder: row → mean accuracy."""
    for i, dataset in enumerate(datasets):
        bench = Bench(folder, dataset=dataset, specs=SPECS[:1], **plan)
        for name, mean in means.items():
            bench.add(f"{name}/{dataset}", mean, row=name, label=name, stage="x", method=name, floor=name == "floor")
        bench.save(bench_id or f"{dataset}-{i}")
    return folder


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Three methods and a floor on eight datasets."""
    means = {"low": 0.45, "high": 0.8, "middle": 0.6, "floor": 0.2}
    return make(tmp_path_factory.mktemp("eight") / "runs", DATASETS, means)


def run(*arguments, capsys):
    status = main(["report", *map(str, arguments), "--by", "dataset"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_rows_that_differ_plainly_have_letters_of_their_own_and_floors_none(eight, capsys):
    status, out, _ = run(eight, "--format", "csv", capsys=capsys)
    lines = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert {(line["method"], line["tiers"]) for line in lines} == {
        ("high", "a"),
        ("middle", "b"),
        ("low", "c"),
        ("floor", ""),
    }
    assert {(line["method"], line["mean_rank"]) for line in lines} == {
        ("high", "1.0"),
        ("middle", "2.0"),
        ("low", "3.0"),
        ("floor", ""),
    }
    assert len(lines) == 4 * len(DATASETS)


def test_over_eight_datasets_ranks_tests_and_probabilities_agree_with_what_was_made(eight, capsys):
    _, out, _ = run(eight, "--format", "json", capsys=capsys)
    (over,) = json.loads(out)["over"]
    assert over["friedman_p"] < 0.001
    assert over["letters"] == {"high": "a", "middle": "b", "low": "c"}  # 2^-7 for each of three pairs, Holm: 0.023
    assert over["posteriors"]["middle"]["worse"] > 0.99
    assert over["notes"] == []
    _, markdown, _ = run(eight, capsys=capsys)
    assert "Rows of a column that share a letter cannot be told apart" in markdown
    table = markdown.split("## Leaderboard")[1].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in table[2:6]] == ["high", "middle", "low", "floor (floor)"]


def test_few_datasets_say_what_cannot_be_concluded(tmp_path, capsys):
    runs = make(tmp_path / "runs", DATASETS[:3], {"a": 0.8, "b": 0.6, "c": 0.4})
    _, out, _ = run(runs, capsys=capsys)
    assert "3 datasets cannot tell any two of 3 rows apart at 5 %: that takes 7 at least" in out
    one = make(tmp_path / "one", DATASETS[:1], {"a": 0.8, "b": 0.6})
    assert "no ranks: one dataset says nothing about others" in run(one, capsys=capsys)[1]


def test_rows_of_several_folders_stand_in_one_column_where_fingerprints_are_equal(tmp_path, capsys):
    one = make(tmp_path / "one", DATASETS[:1], {"a": 0.8})
    other = make(tmp_path / "other", DATASETS[:1], {"b": 0.6})
    _, out, _ = run(one, other, "--format", "json", capsys=capsys)
    board = json.loads(out)
    assert list(board["columns"]) == ["data0 5-way 1-shot"]
    assert board["n_tests"] == 1


def test_other_data_other_episodes_or_other_seeds_are_set_apart_with_the_reason(tmp_path, capsys):
    one = make(tmp_path / "one", DATASETS[:1], {"a": 0.8})
    other = make(tmp_path / "other", DATASETS[:1], {"b": 0.6}, n_classes=10)
    third = make(tmp_path / "third", DATASETS[:1], {"c": 0.6}, seeds=(0, 1))
    _, out, _ = run(one, other, third, capsys=capsys)
    assert "data0 5-way 1-shot stands in 3 columns that are not compared: their episodes, seeds differ" in out
    assert "No two rows met the same open episodes" in out


def test_rows_of_one_name_that_differ_in_a_condition_are_two_rows(tmp_path, capsys):
    for name, backbone in (("one", "conv4"), ("other", "resnet12")):
        bench = Bench(tmp_path / name, dataset="data0", specs=SPECS[:1])
        bench.add("a/x", backbone=backbone, label="a").save()
    _, out, _ = run(tmp_path / "one", tmp_path / "other", capsys=capsys)
    assert "a/x [backbone conv4]" in out
    assert "a/x [backbone resnet12]" in out


def test_what_was_measured_twice_is_there_once_and_is_told(tmp_path, capsys):
    runs = make(tmp_path / "one", DATASETS[:1], {"a": 0.8}, "first")
    Bench(runs, dataset="data0", specs=SPECS[:1]).add("a/again", 0.5, row="a", label="a", stage="x", method="a").save(
        "second"
    )
    _, out, _ = run(runs, capsys=capsys)
    assert "data0: measured by benches first and second, of which the later counts: a" in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--by", "method"], "unknown value of --by 'method'"),
        (["--by", "dataset", "--format", "html"], "a leaderboard (--by dataset) has no format html"),
        (["--by", "dataset", "--baseline", "a"], "--baseline is not for a leaderboard"),
        (["--by", "dataset", "--sort", "method"], "--sort is not for a leaderboard"),
        (["--by", "dataset", "--rows", "nobody"], "no row to show"),
    ],
)
def test_what_a_leaderboard_does_not_show_is_refused_in_one_line(eight, capsys, flags, words):
    assert main(["report", str(eight), *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_the_diagram_is_written_for_each_setting(eight, tmp_path, capsys):
    _, _, error = run(eight, "--plots", tmp_path / "figures", capsys=capsys)
    assert error == f"3 files with figures in {tmp_path / 'figures'}\n"
    svg = (tmp_path / "figures" / "leaderboard-ranks-5-way-1-shot.svg").read_text()
    assert svg.startswith("<?xml")

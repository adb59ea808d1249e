"""harness runs compare: what is not the same, and differences that are paired where the episodes are the same."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.cli.main import main
from harness.runs import StageFolder, StageIdentity
from tests.helpers.reports import Bench, closed


@pytest.fixture
def bench(tmp_path):
    """Make a bench with the row rfs/simple in a run folder of its own."""

    def make(folder, mean=0.5, seeds=(0, 1, 2), plan=None, **about):
        return Bench(tmp_path / folder, seeds=seeds, **(plan or {})).add("rfs/simple", mean=mean, **about)

    return make


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, status=0):
        capsys.readouterr()
        assert main(["runs", "compare", *arguments]) == status
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return run


def cells(text):
    """(of, what) → cells of the printed table."""
    rule = next(line for line in text.splitlines() if line.startswith("---"))
    starts = [at for at, letter in enumerate(rule) if letter == "-" and (at == 0 or rule[at - 1] == " ")]
    lines = text[text.index(rule) + len(rule) + 1 :].split("\n\n")[0].splitlines()
    rows = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]
    return {tuple(row[:2]): row[2:] for row in rows}


def test_the_same_bench_twice_is_equal_in_all(bench, compare):
    bench("a").save()
    bench("b").save()
    text = compare("a", "b")
    assert "A: bench abc123 of a" in text
    assert all(row[-1] == "equal" for row in cells(text).values())
    assert "are the same, as far as recorded" in text
    values = json.loads(compare("a", "b", "--json"))
    assert values["differing"] == []
    assert [numbers["difference"]["equal"] for numbers in values["numbers"]] == [True] * 4


def test_what_differs_is_named_with_both_values_and_nothing_else_is(bench, compare):
    bench("a").save()
    bench(
        "b",
        plan={"threads": 4, "set": {"rfs.optimiser": "adam"}},
        options={"optimiser": "adam", "selection": "last", "nesterov": True},
        conditions={"device": "A GPU", "precision": "32", "torch": "2.16.0"},
        backbone="conv4",
    ).save()
    facts = {what: row for what, row in cells(compare("a", "b")).items() if row[-1] == ""}
    assert facts == {
        ("plan", "threads"): ["not given", "4", ""],
        ("plan", "set rfs.optimiser"): ["-", "adam", ""],
        ("rfs/simple", "backbone"): ["resnet12", "conv4", ""],
        ("rfs/simple", "option optimiser"): ["sgd", "adam", ""],
        ("rfs/simple", "option nesterov"): ["-", "True", ""],
        ("rfs/simple", "device"): ["A CPU", "A GPU", ""],
        ("rfs/simple", "torch"): ["2.15.0", "2.16.0", ""],
    }


def test_a_difference_is_paired_episode_by_episode(bench, compare):
    bench("a", mean=0.5).save()
    bench("b", mean=0.6).save()  # every accuracy is higher by 0.1, so the difference has no spread
    text = compare("a", "b")
    table = cells(text)
    assert table["rfs/simple", "5-way 1-shot"][-1] == "+10.00"
    assert table["rfs/simple", "5-way 1-shot, open"][-1] == "+10.00 ± 0.00, p < 0.001"
    assert "by Holm over all 2 of this table" in text


def test_floors_are_no_tests(bench, compare):
    bench("a", mean=0.5, floor=True).save()
    bench("b", mean=0.6, floor=True).save()
    text = compare("a", "b")
    assert cells(text)["rfs/simple", "5-way 1-shot, open"][-1] == "+10.00 ± 0.00"
    assert "Holm" not in text


def test_other_episodes_are_not_paired(bench, compare):
    bench("a").save()
    bench("b", mean=0.6, fingerprint="other").save()
    values = json.loads(compare("a", "b", "--json"))
    assert {numbers["reason"] for numbers in values["numbers"]} == {"other episodes"}
    assert all(numbers["difference"] is None for numbers in values["numbers"])


def test_other_data_and_episodes_are_named(bench, compare, tmp_path):
    bench("a").save()
    bench("b").save()
    path = tmp_path / "b" / "benches" / "abc123.json"
    record = json.loads(path.read_text())
    record["tables"][0] |= {"data_fingerprint": "e" * 64, "score_on": "val"}
    record["tables"][0]["episodes"][0]["fingerprint"] = "f" * 64
    path.write_text(json.dumps(record))
    table = cells(compare("a", "b"))
    assert table["data", "fingerprint"][:2] == ["d" * 12, "e" * 12]
    assert table["data", "scored on the split"][:2] == ["test", "val"]
    assert table["data", "episodes 5-way 1-shot, 40 closed"][1] == "f" * 12


def test_only_seeds_of_both_are_paired(bench, compare):
    a, b = bench("a", mean=0.5, seeds=(0, 1)).save(), bench("b", mean=0.55, seeds=(1, 2), scored_under={}).save()
    text = compare("a", "b")
    difference = (closed(b, "rfs/simple", seed=1) - closed(a, "rfs/simple", seed=1)).mean()
    assert cells(text)["rfs/simple", "5-way 1-shot"][-1] == f"{100 * difference:+.2f}"
    assert "B - A is over the seeds of both: 1\n" in text
    bench("c", seeds=(5,)).save()
    assert cells(compare("a", "c"))["rfs/simple", "5-way 1-shot"][-1] == "no seed of both"


def test_two_rows_of_one_bench(bench, compare):
    bench("a").add("skd/gen0", mean=0.7, options={"alpha": 2, "selection": "last"}).save()
    table = cells(compare("a", "a", "--row", "rfs/simple", "--row", "skd/gen0"))
    assert table["rfs/simple | skd/gen0", "method"][:2] == ["rfs", "skd"]
    assert ("rfs/simple | skd/gen0", "option alpha") not in table
    assert table["rfs/simple | skd/gen0", "5-way 1-shot"][-1].startswith("+2")
    assert len(cells(compare("a", "a"))) == 8
    assert len(cells(compare("a", "a", "--row", "skd/gen0"))) == 4


def test_a_rows_file_is_a_side(bench, compare):
    bench("a").save()
    assert main(["runs", "export", "theirs.json", "a", "--row", "rfs/simple"]) == 0
    text = compare("a", "theirs.json")
    assert all(row[-1] == "equal" for row in cells(text).values())
    assert "B: rfs/simple in theirs.json, of bench abc123" in text


def test_rows_and_seeds_share_a_line_where_they_differ_alike(bench, compare):
    bench("a").add("skd/gen0").add("pixels").save()
    there = {"device": "A GPU", "precision": "32", "torch": "2.15.0"}
    bench("b", conditions=there).add("skd/gen0", conditions=there).add("relation").save()
    text = compare("a", "b")
    assert cells(text)["all rows", "device"][:2] == ["A CPU", "A GPU"]
    assert "in A alone: CIFAR-FS: pixels" in text
    assert "in B alone: CIFAR-FS: relation" in text


def test_versions_and_images_of_a_stage_are_compared(bench, compare):
    for folder, version, padding in (("a", 1, 4), ("b", 2, 8)):
        identity = {"method": "rfs", "stage": "simple", "version": version, "options": {}, "seed": 0}
        made = bench(folder)
        for path in made.output.glob("stages/*/*"):
            pixels = {"augmentation": {"crop_padding": padding, "flip": True}}
            StageFolder(path).save_identity(StageIdentity.recorded({**identity, "pixels": pixels}))
        made.save()
    table = cells(compare("a", "b"))
    assert table["rfs/simple", "version of the method's stage"][:2] == ["1", "2"]
    assert table["rfs/simple", "images: augmentation.crop_padding"][:2] == ["4", "8"]
    assert ("rfs/simple", "images: augmentation.flip") not in table


def test_a_row_that_failed_is_told(bench, compare):
    bench("a").save()
    bench("b", failure="boom").save()
    table = cells(compare("a", "b"))
    assert table["rfs/simple", "failure"][:2] == ["none", "seed 0: boom; seed 1: boom; seed 2: boom"]
    assert table["rfs/simple", "5-way 1-shot"][1:] == ["-", "one alone"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("a", "absent"), "holds no bench"),
        (("a", "a:zzz"), "no bench 'zzz'"),
        (("a", "absent.json"), "No such file"),
        (("a", "a", "--row", "rfs/simpel"), "Did you mean 'rfs/simple'"),
        (("a", "a", "--dataset", "CUB"), "unknown dataset of bench abc123"),
        (("a", "a", "--row", "x", "--row", "y", "--row", "z"), "--row is given once for both sides, or twice"),
        (("a", "gone"), "is not whole"),
    ],
)
def test_what_cannot_be_compared_is_one_line(bench, compare, tmp_path, arguments, reason):
    bench("a").save()
    bench("gone").save()
    shutil.rmtree(next(tmp_path.glob("gone/stages/*/*")))
    line = compare(*arguments, status=2)
    assert reason in line
    assert line.count("\n") == 1

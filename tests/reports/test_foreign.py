"""Rows from files: the same numbers as at home, tested in pairs, and refused where they met other episodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from harness.common.errors import RunsError, UnknownName
from harness.contract.episodes import EpisodeSpec
from harness.reports.foreign import read_rows, row_digest
from harness.reports.rowfile import as_text, row_record
from tests.helpers.reports import Bench, closed

SEEDS = (0, 1, 2)


def written(bench, row, path):
    """The row in a file."""
    record = bench.save() and row_record(bench.output, load(bench), row)
    path.write_text(as_text(record))
    return path


def load(bench):
    from harness.runs import find_bench

    return find_bench(bench.output)


@pytest.fixture
def theirs(tmp_path):
    """Somebody else's run folder."""
    return Bench(tmp_path / "theirs", seeds=SEEDS).add("skd/gen1", mean=0.6, preset="quick", floor=False)


@pytest.fixture
def file(theirs, tmp_path):
    return written(theirs, "skd/gen1", tmp_path / "theirs.json")


@pytest.fixture
def ours(runs):
    return runs(seeds=SEEDS).add("rfs/simple", mean=0.5)


def row_of(report, name):
    [row] = (row for row in report.tables[0].rows if row.name == name)
    return row


def test_a_row_from_a_file_has_the_numbers_that_it_has_at_home(theirs, ours, file):
    there = row_of(theirs.report(), "skd/gen1")
    here = row_of(ours.report(against=read_rows([file])), "theirs.json:skd/gen1")
    assert {spec: (cell.intervals, cell.by_seed) for spec, cell in here.cells.items()} == {
        spec: (cell.intervals, cell.by_seed) for spec, cell in there.cells.items()
    }
    assert (here.seeds, here.conditions, here.marks) == (there.seeds, there.conditions, there.marks)
    assert (here.images_seen, here.fit_seconds, here.flops) == (there.images_seen, there.fit_seconds, there.flops)


def test_its_difference_from_our_row_is_that_of_a_paired_test_over_both_files(theirs, tmp_path):
    """One seed, so that the test is scipy's over the episodes, and no class effects: 20 classes, 4 episodes apart."""
    ours = Bench(tmp_path / "runs", seeds=(0,)).add("rfs/simple", mean=0.5)
    theirs = Bench(tmp_path / "one", seeds=(0,)).add("skd/gen1", mean=0.6)
    rows = read_rows([written(theirs, "skd/gen1", tmp_path / "theirs.json")])
    report = ours.report(against=rows, baseline="rfs/simple")
    found = row_of(report, "theirs.json:skd/gen1").cells[EpisodeSpec(5, 1, 5)].compared.found
    pair = closed(theirs, "skd/gen1", target="open"), closed(ours, "rfs/simple", target="open")
    assert found.difference.mean == pytest.approx(float(np.mean(pair[0] - pair[1])), abs=1e-12)
    assert found.wins == int((pair[0] > pair[1]).sum())
    assert (found.t_p < 0.05) == (stats.ttest_rel(*pair).pvalue < 0.05)


def test_it_may_be_the_baseline(ours, file):
    report = ours.report(against=read_rows([file]), baseline="theirs.json:skd/gen1")
    cell = row_of(report, "rfs/simple").cells[EpisodeSpec(5, 1, 5)]
    assert cell.compared.found.difference.mean < 0
    assert "Paired differences from theirs.json:skd/gen1" in ours.text(
        against=read_rows([file]), baseline="theirs.json:skd/gen1"
    )


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_says_which_file_it_is_from(ours, file, form):
    text = ours.text(form, against=read_rows([file])).replace(r"\_", "_")
    assert "from the file theirs.json" in text
    assert read_rows([file])[0].record.sha256[:16] in text


def test_other_episodes_are_refused_with_both_fingerprints(runs, file):
    other = runs(seeds=SEEDS, n_images=80).add("rfs/simple")
    with pytest.raises(
        RunsError, match=r"theirs.json met other episodes \(5-way 1-shot, closed: \w{12}, here \w{12}\)"
    ):
        other.report(against=read_rows([file]))


def test_a_row_of_another_dataset_is_refused(runs, file):
    other = runs(seeds=SEEDS, dataset="CUB", n_classes=30).add("rfs/simple")
    with pytest.raises(RunsError, match=r"is about CIFAR-FS \(test split\), and no table here is: CUB"):
        other.report(against=read_rows([file]))


def test_the_same_images_under_another_name_are_the_same_episodes(runs, file):
    other = runs(seeds=SEEDS, dataset="folder:elsewhere").add("rfs/simple")
    assert row_of(other.report(against=read_rows([file])), "theirs.json:skd/gen1").cells


def test_only_settings_of_both_are_shown(runs, file):
    one = runs(seeds=SEEDS, specs=(EpisodeSpec(5, 1, 5),)).add("rfs/simple")
    assert set(row_of(one.report(against=read_rows([file])), "theirs.json:skd/gen1").cells) == {EpisodeSpec(5, 1, 5)}
    none = Bench(one.output.parent / "none", specs=(EpisodeSpec(5, 2, 5),)).add("rfs/simple")
    with pytest.raises(RunsError, match="no setting of this table: it has 5-way 1-shot, 5-way 5-shot"):
        none.report(against=read_rows([file]))


def test_other_seeds_are_not_paired(runs, file):
    ours = runs(seeds=(0, 1)).add("rfs/simple")
    assert row_of(ours.report(against=read_rows([file])), "theirs.json:skd/gen1").seeds == SEEDS
    with pytest.raises(RunsError, match="not paired"):
        ours.report(against=read_rows([file]), baseline="rfs/simple")


def test_two_files_of_one_name_are_refused(file, tmp_path):
    (tmp_path / "b").mkdir()
    copy = tmp_path / "b" / "theirs.json"
    copy.write_text(file.read_text())
    with pytest.raises(RunsError, match=r"two rows would be called theirs.json:skd/gen1"):
        read_rows([file, copy])


def test_the_same_row_makes_the_same_bytes_and_is_read_back(theirs, file, tmp_path):
    assert written(theirs, "skd/gen1", tmp_path / "again.json").read_bytes() == file.read_bytes()
    assert as_text(read_rows([file])[0].record) == file.read_text()


def test_there_is_no_file_of_a_row_that_failed_or_is_not_there(theirs):
    theirs.add("rfs/simple", failure="boom").save()
    with pytest.raises(RunsError, match=r"rfs/simple failed \(seed 0: boom"):
        row_record(theirs.output, load(theirs), "rfs/simple")
    with pytest.raises(UnknownName, match=r"unknown row 'skd/gen2'. Did you mean 'skd/gen1'"):
        row_record(theirs.output, load(theirs), "skd/gen2")
    with pytest.raises(UnknownName, match="unknown dataset of this bench 'CUB'"):
        row_record(theirs.output, load(theirs), "skd/gen1", "CUB")


# ── files that are not what they should be ────────────────────────────────────────────────────────


def forged(file, change):
    """The file after ``change`` of its values, with a right sha256."""
    values = json.loads(file.read_text())
    change(values)
    values["sha256"] = row_digest(values)
    file.write_text(json.dumps(values))
    return file


def setting(place, **values):
    return lambda record: record["settings"][place].update(values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: record.update(kind="bench"), "holds no row"),
        (lambda record: record.update(seeds=[0, 1]), "not 2 seeds of all"),
        (lambda record: record.update(seeds=[], keys=[]), "damaged"),
        (lambda record: record["settings"][0]["accuracies"][0].pop(), "not 40 episodes"),
        (lambda record: record["settings"][0]["accuracies"][0].__setitem__(0, 1.5), "no fraction"),
        (lambda record: record["settings"][0]["classes"][0].__setitem__(0, 99), "not those of the split"),
        (setting(0, n_classes=2), "not those of the split"),
        (lambda record: record["settings"].pop(0), "no closed episodes"),
        (lambda record: record.update(row="skd\x1b[2J"), "control characters"),
        (lambda record: record.update(label="a\nb"), "control characters"),
        (lambda record: record.update(colour="red"), "extra inputs"),
        (lambda record: record.update(format=99), "has format 99.*pip install -U"),
    ],
)
def test_a_forged_file_is_one_line(file, change, reason):
    with pytest.raises(RunsError, match=reason) as error:
        read_rows([forged(file, change)])
    assert "\n" not in str(error.value)


def test_a_changed_number_is_noticed(file):
    values = json.loads(file.read_text())
    values["settings"][0]["accuracies"][0][0] = 1.0
    file.write_text(json.dumps(values))
    with pytest.raises(RunsError, match="changed since it was written"):
        read_rows([file])


@pytest.mark.parametrize("content", ["", "[", "3", "null", "[" * 100_000, '{"kind": "row"}'])
def test_what_is_no_file_of_a_row_is_one_line(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(RunsError) as error:
        read_rows([tmp_path / "x.json"])
    assert "\n" not in str(error.value)
    assert ("holds no row" in str(error.value)) is ("row" not in content)  # and is not to be deleted
    with pytest.raises(RunsError, match="No such file"):
        read_rows([tmp_path / "absent.json"])


def test_a_name_is_no_markup_and_no_formula(ours, file):
    rows = read_rows([forged(file, lambda record: record.update(row="<i>|x", label="<i>", preset="=1+1"))])
    assert "<i>" not in ours.text("html", against=rows)
    assert r"<i>\|x" in ours.text(against=rows)
    assert ",'=1+1," in ours.text("csv", against=rows)

"""A row of an earlier run as the start of a training: --weights RUN:ROW."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from harness.bench.pretraining import RowOfRun
from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.reports.build import build_report
from harness.reports.foreign import ForeignRow
from harness.reports.formats.conditions import conditions
from harness.reports.formats.markdown import markdown
from harness.reports.rowfile import row_record
from harness.runs import StageFolder
from harness.training.events import TrainingStarted
from tests.helpers.bench import happened

QUICK = {"budget": 64, "episodes": 4, "set": {"rfs.generations": 0}}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, pretrain):
    """A run folder with one bench of rfs, seeds 0 and 1, and the bench's ID."""
    folder = tmp_path_factory.mktemp("earlier") / "runs"
    return folder, pretrain(folder)


@pytest.fixture(scope="module")
def pretrain():
    from harness.bench.bench import bench
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.factory import make_executor
    from tests.conftest import TinyPlugin

    def train(folder, **values):
        catalogue = Catalogue.discover()
        catalogue.add("tiny-plugin", TinyPlugin())
        small = {"dataset": ("tiny",), "methods": ("rfs",), "floors": False, "queries": 5, "device": "cpu"}
        small |= {"precision": "32", "threads": 1, "seeds": (0, 1), **QUICK, **values}
        executor = make_executor("inline", catalogue)
        return bench(BenchPlan.model_validate(small), catalogue, executor, folder, folder.parent / "data").id

    return train


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs:rfs/simple", RowOfRun("runs", "rfs/simple")),
        ("2b44:rfs", RowOfRun("2b44", "rfs")),
        ("a/b:2b44:skd beta=0.1/gen1:7", RowOfRun("a/b:2b44", "skd beta=0.1/gen1", 7)),
        ("runs:7", RowOfRun("runs", "7")),  # a seed needs a row before it
        ("weights.pth", None),
        ("runs:", None),
        (":rfs", None),
    ],
)
def test_a_row_is_written_after_its_run_and_may_have_a_seed(text, expected):
    assert RowOfRun.parse(text) == expected


def test_each_seed_starts_from_its_own_and_identity_has_the_digest_not_the_path(earlier, run_bench, tmp_path):
    folder, bench_id = earlier
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    about = {"seeds": (0, 1), **QUICK}
    record = run_bench(weights=f"rfs={folder}:rfs/simple", **about)
    again = run_bench(weights=f"{moved}:{bench_id[:6]}:rfs", **about)
    stages = record.tables[0].stages
    assert [stage.key for stage in again.tables[0].stages] == [stage.key for stage in stages]
    for stage in stages:
        (source,) = folder.glob(f"stages/tiny/rfs-simple-seed{stage.seed}-*")
        identity = json.loads((tmp_path / "runs" / stage.folder / "identity.json").read_text())
        assert identity["weights"] == sha256(source / "weights.safetensors") == stage.pretraining.weights_sha256
        assert stage.pretraining.seed == stage.seed
    first = run_bench(weights=f"{folder}:rfs:0", **about).tables[0].stages
    assert [stage.pretraining.seed for stage in first] == [0, 0]
    assert first[0].key == stages[0].key


def test_the_table_says_what_a_row_was_pretrained_on(earlier, run_bench, tmp_path):
    folder, bench_id = earlier
    record = run_bench(methods=("rfs", "plain=rfs"), weights=f"rfs={folder}:rfs:1", **QUICK)
    report = build_report([(tmp_path / "runs", record)])
    said = (
        f"rfs/simple, seed 1, of bench {bench_id} (tiny, 8 base classes, those of this table; its cost is not counted)"
    )
    said = said.replace("rfs/simple", "rfs")
    assert f"rfs started from {said}" in conditions(report.tables[0])
    rows = {row.name: row for row in report.tables[0].rows}
    assert (rows["rfs"].pretrained, rows["plain/simple"].pretrained) == (said, "")
    lines = markdown(report).splitlines()
    assert ["conv4, pretrained" in line for line in lines if line.startswith(("| rfs", "| plain"))].count(True) == 1
    kept = row_record(tmp_path / "runs", record, "rfs")
    assert ForeignRow(kept, "theirs.json").row({}, (), "").pretrained == said


def test_the_same_command_again_starts_from_the_same_row_though_there_is_a_newer_one(earlier, run_bench, tmp_path):
    shutil.copytree(earlier[0], tmp_path / "runs")
    record = run_bench(weights=f"{tmp_path / 'runs'}:rfs", **QUICK)
    events = []
    again = run_bench(weights=f"{tmp_path / 'runs'}:rfs", observe=events.append, **QUICK)
    assert not happened(events, TrainingStarted)
    assert again.tables == record.tables


def test_a_row_that_knows_classes_that_are_scored_is_marked(run_bench, tmp_path):
    run_bench(train_on="trainval", output=tmp_path / "all", **QUICK)
    on_val = run_bench(score_on="val", weights=f"{tmp_path / 'all'}:rfs", **QUICK)
    on_test = run_bench(weights=f"{tmp_path / 'all'}:rfs", **QUICK)
    marked = [record.tables[0].stages[0].pretraining for record in (on_val, on_test)]
    assert [start.may_know_novel for start in marked] == [True, False]
    assert [start.same_data for start in marked] == [False, False]
    line = next(line for line in conditions(build_report([(tmp_path / "runs", on_val)]).tables[0]) if "started" in line)
    assert "14 base and validation classes, among which the classes scored here may be" in line


# ── what does not fit ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weights", "plan", "error"),
    [
        ("{runs}:rfs/gen3", {}, r"unknown row in --weights .*runs:ROW 'rfs/gen3'\..* Rows: rfs$"),
        ("{runs}:rfs:5", {}, r"was trained with the seeds 0, 1, not with 5\. Name one for all: rfs=.*runs:rfs:0$"),
        ("{runs}:rfs", {"seeds": (2,)}, r"the seeds 0, 1, not with 2\."),
        ("{runs}:rfs", {"backbone": "conv4-gap"}, r"has the backbone conv4, and rfs here conv4-gap: --backbone conv4$"),
        ("nowhere:rfs", {}, r"^--weights rfs=nowhere:rfs: no such file, and nowhere is no run folder and no bench: "),
        ("{runs}:last:rfs", {}, r"give the ID, as harness runs list prints it"),
        (
            "nowhere",
            {},
            r"^--weights rfs=nowhere: no such file as nowhere; a row of an earlier run is written RUN:ROW$",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_before_any_training(earlier, run_bench, tmp_path, weights, plan, error):
    events = []
    with pytest.raises(HarnessError, match=error) as refused:
        run_bench(weights=f"rfs={weights.format(runs=earlier[0])}", observe=events.append, **{**QUICK, **plan})
    assert "\n" not in str(refused.value)
    assert not events
    assert isinstance(refused.value, UnknownName if "gen3" in weights else HarnessError)


def test_weights_that_are_not_kept_are_refused(earlier, run_bench, tmp_path):
    shutil.copytree(earlier[0], tmp_path / "light")
    for file in (tmp_path / "light").rglob("weights.safetensors"):
        file.unlink()
    with pytest.raises(RunsError, match=r"rfs seed 0: its weights are not kept in .* runs export --weights"):
        run_bench(weights=f"{tmp_path / 'light'}:rfs:0", **QUICK)


def test_a_folder_with_two_rows_of_that_name_asks_which(earlier, pretrain, run_bench, tmp_path):
    shutil.copytree(earlier[0], tmp_path / "two")
    other = pretrain(tmp_path / "two", budget=128)
    with pytest.raises(RunsError, match=rf"benches {earlier[1]}, {other} of .* have different rows rfs: name one, "):
        run_bench(weights=f"{tmp_path / 'two'}:rfs", **QUICK)
    chosen = run_bench(weights=f"{tmp_path / 'two'}:{other}:rfs", **QUICK).tables[0].stages[0]
    source = StageFolder(next((tmp_path / "two").glob(f"stages/tiny/rfs-*-seed0-{chosen.pretraining.key[:12]}")))
    assert source.trained.images_seen == 128

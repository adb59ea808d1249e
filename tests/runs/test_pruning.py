"""harness/runs/pruning.py: what goes is what no report and no bench that goes on would miss."""

from __future__ import annotations

import shutil

import pytest

from harness.common.errors import RunsError
from harness.runs import StageFolder, begin_bench
from harness.runs.pruning import prune, what_may_go
from harness.runs.records import BegunRecord


@pytest.fixture
def bench(runs):
    """A bench of two stages, a third that it does not name, and kept features and a checkpoint in the first."""
    bench = runs().add("rfs/simple").add("skd/gen0")
    bench.save()
    first = bench.output / bench.stages[0].folder
    shutil.copytree(first, first.parent / "other-stage-seed0-0123456789ab")
    (first / "embeddings").mkdir()
    (first / "embeddings" / "test-0.safetensors").write_bytes(bytes(1000))
    (first / "checkpoint-3.pt").write_bytes(bytes(100))
    return bench


UNUSED = "stages/CIFAR-FS/other-stage-seed0-0123456789ab"


def sizes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_it_says_what_would_go_and_how_many_bytes(bench):
    pruning = what_may_go(bench.output)
    assert {item.part: item.stage.folder for item in pruning.prunable} == {
        "unused": UNUSED,
        "checkpoints": bench.stages[0].folder,
        "features": bench.stages[0].folder,
    }
    assert pruning.n_bytes("features") == 1000
    assert pruning.n_bytes("checkpoints") == 100
    assert pruning.n_bytes("unused") == sizes(bench.output / UNUSED)


def test_it_frees_what_it_said_and_the_report_stays_the_same(bench):
    report, before = bench.text("json"), sizes(bench.output)
    pruning = what_may_go(bench.output)
    gone, busy = prune(pruning)
    assert (gone, busy) == (pruning.n_bytes(), [])
    assert sizes(bench.output) == before - gone
    assert not (bench.output / UNUSED).exists()
    assert bench.text("json") == report
    assert not what_may_go(bench.output).prunable


def test_only_what_is_asked_for_goes(bench):
    prune(what_may_go(bench.output, ["features"]))
    assert (bench.output / UNUSED / "trained.json").exists()
    assert (bench.output / bench.stages[0].folder / "checkpoint-3.pt").exists()
    assert not list(bench.output.rglob("*.safetensors.tmp")) + list(bench.output.rglob("embeddings/*"))


def test_a_checkpoint_of_a_stage_that_is_not_finished_stays(bench):
    (bench.output / bench.stages[0].folder / "trained.json").unlink()
    assert not what_may_go(bench.output, ["checkpoints"]).prunable


def test_a_stage_at_work_is_never_touched(bench):
    with StageFolder(bench.output / UNUSED).lock():
        pruning = what_may_go(bench.output, ["unused"])
    assert pruning.busy == [UNUSED]
    assert not pruning.prunable


def test_a_stage_that_is_taken_up_after_it_was_listed_is_not_touched(bench):
    pruning = what_may_go(bench.output, ["unused"])
    with StageFolder(bench.output / UNUSED).lock():
        assert prune(pruning) == (0, [UNUSED])
    assert (bench.output / UNUSED / "trained.json").exists()


def test_the_stages_of_a_bench_that_has_not_ended_stay(bench):
    begin_bench(bench.output, BegunRecord(id="b1", begun="now", plan=bench.plan, stages=(UNUSED,)))
    assert not what_may_go(bench.output, ["unused"]).prunable


def test_the_stages_of_a_search_stay_unless_they_are_asked_for(run_tune, tmp_path):
    from tests.helpers.tuning import BETA

    run_tune(BETA, n_trials=1)
    kept = what_may_go(tmp_path / "runs", ["unused"])
    assert not kept.prunable
    assert len(kept.searched) == len(list((tmp_path / "runs").glob("stages/*/*")))
    assert len(what_may_go(tmp_path / "runs", ["unused"], searches=True).prunable) == len(kept.searched)


def test_what_a_link_leads_to_is_not_deleted(bench, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (bench.output / UNUSED).rename(elsewhere)
    (bench.output / UNUSED).symlink_to(elsewhere)
    (bench.output / bench.stages[1].folder / "embeddings").symlink_to(elsewhere)
    prune(what_may_go(bench.output))
    assert (elsewhere / "trained.json").exists()


def test_a_damaged_record_stops_it_since_nobody_knows_what_it_names(bench):
    (bench.output / "benches" / "abc123.json").write_text("{")
    with pytest.raises(RunsError, match="damaged"):
        what_may_go(bench.output)

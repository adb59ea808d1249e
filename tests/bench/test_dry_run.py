"""harness/bench/dry_run.py: what a bench would do is what it then does, and nothing is done meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.bench import bench
from harness.bench.dry_run import DryRun, ForetoldStage, dry_run
from harness.bench.events import BenchStarted
from harness.bench.past import Kind, Past
from harness.catalogue.catalogue import Catalogue
from harness.common.errors import HarnessError
from harness.contract.plan import BenchPlan
from harness.execution.events import JobEvent, JobStarted
from harness.execution.factory import make_executor
from harness.runs import StageFolder, find_bench
from harness.training.events import EpochDone
from tests.conftest import TinyPlugin
from tests.helpers.bench import happened

SMALL = {
    "dataset": ("tiny",),
    "methods": ("rfs",),
    "floors": False,
    "budget": 640,
    "episodes": 20,
    "queries": 5,
    "device": "cpu",
    "precision": "32",
    "threads": 1,
}


@pytest.fixture(scope="module")
def catalogue():
    catalogue = Catalogue.discover()
    catalogue.add("tiny-plugin", TinyPlugin())
    return catalogue


@pytest.fixture(scope="module")
def finished(catalogue, tmp_path_factory):
    """A run folder in which rfs is trained with seed 0."""
    folder = tmp_path_factory.mktemp("finished") / "runs"
    bench(BenchPlan.model_validate(SMALL), catalogue, make_executor("inline", catalogue), folder, folder)
    return folder


@pytest.fixture
def output(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "runs")


@pytest.fixture
def foretell(catalogue, output):
    def run(again=False, at=output, **changes):
        plan = BenchPlan.model_validate({**SMALL, **changes})
        earlier = find_bench(at) if again else None
        return dry_run(plan, catalogue, make_executor("inline", catalogue), at, at, earlier=earlier)

    return run


def works(run):
    return [(f"{stage.job.name} {stage.job.seed}", stage.work) for stage in run.stages]


def content(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_what_it_foretells_is_what_a_bench_then_does(foretell, catalogue, output):
    changes = {"methods": ("rfs", "again=rfs"), "seeds": (0, 1), "set": {"again.temperature": 2.0}}
    run = foretell(**changes)
    assert works(run) == [
        ("rfs/simple 0", "kept"),
        ("rfs/distill-1 0", "kept"),
        ("again/simple 0", "kept"),
        ("again/distill-1 0", "train"),
        ("rfs/simple 1", "train"),
        ("rfs/distill-1 1", "train"),
        ("again/simple 1", "shared"),
        ("again/distill-1 1", "train"),
    ]
    events = []
    plan = BenchPlan.model_validate({**SMALL, **changes})
    bench(plan, catalogue, make_executor("inline", catalogue), output, output, events.append)
    begun = [f"{job.name} {job.seed}" for job, _ in happened(events, JobStarted)]
    assert begun == [name for name, work in works(run) if work == "train"]
    assert {work for _, work in works(foretell(**changes))} == {"kept"}


def test_nothing_is_written(foretell, output, tmp_path):
    before = content(output)
    foretell(seeds=(0, 1))
    assert content(output) == before
    foretell(at=tmp_path / "not" / "there")
    assert not (tmp_path / "not").exists()


def test_time_and_room_are_those_of_stages_like_it(foretell):
    kept, _, new, _ = foretell(seeds=(0, 1)).stages
    trained = StageFolder(kept.job.folder).trained
    assert new.seconds >= trained.fit_seconds > 0
    assert new.seconds == Past().seconds(Kind.of(new.job), {})
    assert new.n_bytes == sum(path.stat().st_size for path in kept.job.folder.rglob("*") if path.is_file())
    assert (kept.seconds, kept.n_bytes) == (0.0, 0)
    longer = foretell(seeds=(1,), budget=1280).stages[0]
    assert longer.seconds == pytest.approx(new.seconds + trained.fit_seconds)


@pytest.mark.parametrize("changes", [{"backbone": "conv4-gap"}, {"threads": 2}, {"methods": ("skd",)}])
def test_without_a_stage_like_it_the_time_is_unknown(foretell, changes):
    run = foretell(seeds=(1,), **changes)
    assert [stage.seconds for stage in run.stages] == [None, None]
    assert run.unknown == 2


def test_stages_that_are_trained_are_scored_again(foretell):
    run = foretell(again=True, shots=(2,))
    assert works(run) == [("rfs/simple 0", "score"), ("rfs/distill-1 0", "score")]
    first = run.stages[0]
    assert first.seconds == Past().seconds(Kind.of(first.job), {}, trained=True)


def test_a_method_under_two_heads_is_trained_once_and_scored_twice(foretell):
    run = foretell(methods=("rfs:paper", "again=rfs:paper"), rows=("*/simple",))
    assert works(run) == [("rfs/simple 0", "train"), ("again/simple 0", "shared")]
    assert run.stages[1].same_as == "rfs/simple"


def test_what_cannot_be_scored_again_is_left_out(foretell, output):
    (simple,) = output.glob("stages/tiny/rfs-simple-*")
    shutil.rmtree(simple)
    run = foretell(again=True, shots=(2,))
    assert works(run) == [("rfs/simple 0", "missing"), ("rfs/distill-1 0", "missing")]


def test_a_training_that_was_ended_goes_on(catalogue, foretell, output):
    def end_the_first_epoch(event):
        if isinstance(event, JobEvent) and isinstance(event.event, EpochDone):
            raise KeyboardInterrupt

    plan = BenchPlan.model_validate({**SMALL, "seeds": (1,)})
    with pytest.raises(KeyboardInterrupt):
        bench(plan, catalogue, make_executor("inline", catalogue), output, output, end_the_first_epoch)
    stage = foretell(seeds=(1,)).stages[0]
    assert (stage.work, stage.after) == ("resume", "epoch 1")
    assert stage.seconds < Past().seconds(Kind.of(stage.job), {})


def test_a_failure_of_before_and_another_run_at_work_are_told(foretell, output):
    first, second = foretell(seeds=(1,)).stages
    assert (first.failed, first.busy) == (False, False)
    for folder in (first.job.folder, second.job.folder):
        folder.mkdir()
    (first.job.folder / "failure.txt").write_text("it failed")
    lock = StageFolder(second.job.folder).lock()
    try:
        first, second = foretell(seeds=(1,)).stages
    finally:
        lock.release()
    assert (first.failed, first.busy, second.failed, second.busy) == (True, False, False, True)


def test_floors_have_nothing_to_train(foretell):
    run = foretell(floors=True, rows=("pixels", "untrained"))
    assert [(stage.work, stage.untaught) for stage in run.stages] == [("score", True), ("score", True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ("rsf",)},
        {"dataset": ("tyni",)},
        {"baseline": "rfs/complex"},
        {"device": "tpu"},
        {"queries": 40},
        {"rows": ("nothing",)},
        {"set": {"rfs.alfa": 2}},
        {"split": "60/20/20"},
    ],
)
def test_a_wrong_plan_fails_as_without_it(foretell, catalogue, tmp_path, changes):
    with pytest.raises(HarnessError) as foretold:
        foretell(at=tmp_path / "new", **changes)
    plan = BenchPlan.model_validate({**SMALL, **changes})
    with pytest.raises(HarnessError) as benched:
        bench(plan, catalogue, make_executor("inline", catalogue), tmp_path / "new", tmp_path)
    assert str(foretold.value) == str(benched.value)


def test_what_refuses_a_start_refuses_the_foretelling(catalogue, output):
    def refuse(event):
        if isinstance(event, BenchStarted):
            raise HarnessError(f"{len(event.jobs)} jobs are refused")

    plan = BenchPlan.model_validate(SMALL)
    with pytest.raises(HarnessError, match="2 jobs are refused"):
        dry_run(plan, catalogue, make_executor("inline", catalogue), output, output, refuse)


def stage(name, seconds, *parents):
    """A stage to be trained, by its key and its parents'."""
    return ForetoldStage(SimpleNamespace(key=name, identity=SimpleNamespace(parents=parents)), "train", seconds)


@pytest.mark.parametrize(
    ("at_once", "seconds"),
    [
        (1, 10 + 20 + 5 + 5),
        (2, 10 + 20),  # b after a; c and d beside them
        (9, 10 + 20),
    ],
)
def test_the_whole_takes_what_its_stages_take_side_by_side(at_once, seconds):
    stages = [stage("a", 10.0), stage("b", 20.0, "a"), stage("c", 5.0), stage("d", 5.0), stage("e", None, "b")]
    run = DryRun(Path("runs"), [], stages, None, at_once)
    assert (run.seconds, run.unknown) == (seconds, 1)

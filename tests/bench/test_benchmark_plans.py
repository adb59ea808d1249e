"""benchmarks/: every plan resolves for its dataset; some run end to end, small."""

from __future__ import annotations

import fnmatch
from collections import Counter
from pathlib import Path

import pytest

from harness.bench.bench import bench
from harness.bench.entries import entries
from harness.bench.plan import load_plan
from harness.common.errors import HarnessError
from harness.contract.plan import BenchPlan
from harness.execution.factory import make_executor
from harness.reports.build import build_report

FOLDER = Path(__file__).parents[2] / "benchmarks"
PLANS = sorted(FOLDER.glob("*/*.toml"))
PAPER = {
    "cifar-fs": "CIFAR-FS",
    "fc100": "FC100",
    "mini-imagenet": "miniImageNet",
    "tiered-imagenet": "tieredImageNet",
}
BACKBONES = {"conv4-gap": "conv4-gap", "all-methods": "conv4"}  # of plans that are not on resnet12
SMALL = {
    "dataset": ("tiny",),
    "backbone": "conv4",
    "budget": 1,  # a step a stage
    "episodes": 4,
    "queries": 2,
    "seeds": (0,),
    "device": "cpu",
    "precision": "32",
    "threads": 1,
}


def marked(path):
    """A plan as a test's parameter, which needs learn2learn where the plan names protonet."""
    marks = pytest.mark.learn2learn if "protonet" in path.read_text(encoding="utf-8") else ()
    return pytest.param(path, id=f"{path.parent.name}/{path.stem}", marks=marks)


def row_names(plan, dataset, catalogue):
    found = []
    for entry in entries(plan, dataset, catalogue):
        stages = [stage.name for stage in entry.method.stages(entry.options)]
        found += [f"{entry.label}/{stage}" if len(stages) > 1 else entry.label for stage in stages]
    return found


@pytest.fixture
def run_plan(catalogue, tmp_path):
    """Run a plan of the folder on the tiny dataset, for some steps."""

    def run(path, **settings):
        plan = load_plan(FOLDER / path, {**SMALL, "set": settings})
        record = bench(plan, catalogue, make_executor("inline", catalogue), tmp_path / "runs", tmp_path / "data")
        report = build_report([(tmp_path / "runs", record)], published=True)
        assert not report.failures
        assert catalogue.reporter("markdown").render(report)
        trained = [path.parent.name for path in (tmp_path / "runs").glob("stages/tiny/*/trained.json")]
        return [row.name for row in report.tables[0].rows], Counter(each.split("-seed")[0] for each in trained)

    return run


def test_there_are_plans():
    assert {path.stem for path in PLANS if path.parent.name == "paper"} == {*PAPER, *BACKBONES}
    assert len([path for path in PLANS if path.parent.name == "ablations"]) >= 6


@pytest.mark.parametrize("path", [marked(path) for path in PLANS])
def test_every_plan_resolves_for_its_dataset(path, catalogue):
    plan = load_plan(path, {})
    for dataset in plan.dataset:
        catalogue.dataset(dataset)
        found = entries(plan, dataset, catalogue)
        labels = [entry.label for entry in found]
        assert len(set(labels)) == len(labels)
        rows = row_names(plan, dataset, catalogue)
        for pattern in plan.rows:
            assert fnmatch.filter(rows, pattern), pattern
        assert plan.baseline in rows
        assert not plan.rows or any(fnmatch.fnmatchcase(plan.baseline, pattern) for pattern in plan.rows)
        methods = [entry for entry in found if not entry.method.floor]
        assert {entry.backbone for entry in methods} == {BACKBONES.get(path.stem, "resnet12")}
        assert not {entry.preset for entry in methods} & {"quick"}
    assert plan.seeds == (0, 1, 2)


@pytest.mark.parametrize(("stem", "dataset"), PAPER.items())
def test_the_paper_plans_differ_in_their_dataset_alone(stem, dataset):
    plan = load_plan(FOLDER / "paper" / f"{stem}.toml", {})
    assert (plan.dataset, plan.preset, plan.baseline) == ((dataset,), "paper", "rfs/simple")
    assert not plan.set
    first = load_plan(FOLDER / "paper" / "cifar-fs.toml", {})
    assert plan.model_copy(update={"dataset": first.dataset}) == first


@pytest.mark.learn2learn
def test_a_paper_plan_runs_end_to_end(run_plan):
    small = {
        f"{label}.train_{what}": n
        for label in ("protonet", "protonet-5-shot")
        for what, n in (("way", 4), ("query", 2))
    }
    rows, trained = run_plan("paper/cifar-fs.toml", **small)
    assert rows == [
        "pixels",
        "untrained",
        "rfs/simple",
        "rfs/distill-1",
        "rfs/distill-2",
        "skd/gen0",
        "skd/gen1",
        "skd-code/gen0",
        "skd-code/gen1",
        "protonet",
        "protonet-5-shot",
    ]
    assert trained["skd-gen0"] == 2  # the code's has another DropBlock
    assert trained["skd-gen1"] == trained["protonet-protonet"] == 2


ELSEWHERE = ("paper/", "skd-losses", "skd-beta", "skd-self-supervision", "skd-recipe")  # of which more is asserted
OTHERS = [str(path.relative_to(FOLDER)) for path in PLANS if not any(name in str(path) for name in ELSEWHERE)]


@pytest.mark.parametrize("path", [*OTHERS, "paper/conv4-gap.toml"])
def test_every_other_plan_runs_end_to_end(run_plan, path):
    rows, trained = run_plan(path)
    assert rows
    assert trained


def test_the_ablation_of_losses_trains_each_stage_once_and_shows_the_rows_of_the_table(run_plan):
    rows, trained = run_plan("ablations/skd-losses.toml")
    assert rows == list(load_plan(FOLDER / "ablations" / "skd-losses.toml", {}).rows)
    assert trained == {"skd-gen0": 2, "skd-gen1": 5}


def test_a_sweep_over_beta_trains_gen0_once(run_plan):
    rows, trained = run_plan("ablations/skd-beta.toml")
    assert rows == [f"skd beta={beta}/gen1" for beta in (0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)]
    assert trained == {"skd-gen0": 1, "skd-gen1": 11}


def test_a_sweep_over_self_supervision_trains_no_gen1(run_plan):
    rows, trained = run_plan("ablations/skd-self-supervision.toml")
    assert rows == [f"skd self_supervision={what}/gen0" for what in ("none", "patch", "rotation")]
    assert trained == {"skd-gen0": 3}


def test_the_recipes_of_paper_and_code_differ_in_gen0_by_dropblock_alone(run_plan):
    rows, trained = run_plan("ablations/skd-recipe.toml")
    assert rows == [
        f"{label}/gen1"
        for label in ("paper", "code", "temperature", "learning-rate", "divisor", "forward", "dropblock")
    ]
    assert trained == {"skd-gen0": 2, "skd-gen1": 7}


# ── what plans are written with ───────────────────────────────────────────────────────────────────


def test_a_sweep_over_two_options_has_every_combination(catalogue):
    plan = BenchPlan(
        methods=("mine=rfs",),
        floors=False,
        set={"mine.temperature": 3, "mine.ce_weight": 0.1},
        sweep={"mine.temperature": (2, 4), "mine.decay_at": ([1], [1, 2])},
    )
    found = entries(plan, "tiny", catalogue)
    assert [entry.label for entry in found] == [
        "mine temperature=2 decay_at=1",
        "mine temperature=2 decay_at=1,2",
        "mine temperature=4 decay_at=1",
        "mine temperature=4 decay_at=1,2",
    ]
    assert [(entry.options.temperature, entry.options.decay_at) for entry in found] == [
        (2, (1,)),
        (2, (1, 2)),
        (4, (1,)),
        (4, (1, 2)),
    ]
    assert {entry.options.ce_weight for entry in found} == {0.1}
    assert set(found[0].changed) == {"temperature", "ce_weight", "decay_at"}
    assert found[0].changed_for("simple") == ["decay_at"]  # the other two weigh a distillation
    assert set(found[0].changed_for("distill-1")) == {"temperature", "ce_weight", "decay_at"}


def test_a_value_that_the_preset_has_already_is_no_change(catalogue):
    plan = BenchPlan(methods=("rfs:paper",), floors=False, set={"rfs.learning_rate": 0.05, "rfs.generations": 4})
    (entry,) = entries(plan, "CIFAR-FS", catalogue)
    assert entry.changed == ("generations",)
    assert entry.changed_for("distill-2") == []  # it is what it is, however many follow


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sweep": {"rsf.temperature": (1, 2)}}, "label in --sweep 'rsf'. Did you mean 'rfs'"),
        ({"sweep": {"rfs.temperatur": (1, 2)}}, "Did you mean 'temperature'"),
        ({"sweep": {"rfs.temperature": (1, 1)}}, "different values"),
        ({"sweep": {"rfs.temperature": ()}}, "one or more"),
        ({"sweep": {"rfs.temperature": (1, -1)}}, "rfs.temperature = -1"),
        ({"rows": ("rfs/simpel",)}, "Did you mean 'rfs/simple'"),
        ({"rows": ("rfs/simple",), "baseline": "rfs/distill-1"}, "row for --baseline"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_any_training(run_bench, tmp_path, values, message):
    with pytest.raises(HarnessError, match=message):
        run_bench(**values)
    assert not list((tmp_path / "runs").glob("stages/*"))


@pytest.mark.parametrize("more", [{"train_on": "trainval"}, {"test_dataset": "glyphs"}])
def test_scoring_on_validation_classes_needs_them(more):
    with pytest.raises(HarnessError, match="--score-on val"):
        load_plan(None, {"score_on": "val", **more})


def test_a_stage_without_a_row_counts_in_the_cost_of_its_children(run_bench, tmp_path, catalogue):
    shown = build_report([(tmp_path / "runs", run_bench(rows=("*/distill-1",)))]).tables[0].rows
    full = build_report([(tmp_path / "runs", run_bench())]).tables[0].rows
    assert [row.name for row in shown] == ["rfs/distill-1"]
    assert shown[0].images_seen == full[1].images_seen == 640
    assert [row.name for row in full] == ["rfs/simple", "rfs/distill-1"]


def test_a_stage_that_no_row_needs_is_not_trained(run_bench, tmp_path):
    run_bench(rows=("rfs/simple",))
    assert [path.name.split("-seed")[0] for path in (tmp_path / "runs").glob("stages/tiny/*")] == ["rfs-simple"]


def test_a_table_of_validation_classes_says_so_and_has_other_episodes(run_bench, tmp_path, catalogue):
    records = [run_bench(score_on=where, rows=("rfs/simple",)) for where in ("val", "test")]
    texts = [catalogue.reporter("markdown").render(build_report([(tmp_path / "runs", record)])) for record in records]
    assert "scored on the validation classes" in texts[0]
    assert "validation" not in texts[1]
    kinds = [{each.fingerprint for each in record.tables[0].episodes} for record in records]
    assert not kinds[0] & kinds[1]
    assert [record.tables[0].n_test_classes for record in records] == [6, 7]

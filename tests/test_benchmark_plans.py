"""benchmarks/: every plan resolves for its dataset; some run end to end, small."""

from __future__ import annotations

import fnmatch
from collections import Counter
from pathlib import Path

import pytest

from harness.bench import bench
from harness.execution import make_executor
from harness.plan import entries, load_plan
from harness.reports import Report, render

FOLDER = Path(__file__).parent.parent / "benchmarks"
PLANS = sorted(FOLDER.glob("*/*.toml"))
PAPER = {
    "cifar-fs": "CIFAR-FS", "fc100": "FC100", "mini-imagenet": "miniImageNet", "tiered-imagenet": "tieredImageNet",
}  # fmt: skip
SMALL = {
    "dataset": ("tiny",), "backbone": "conv4", "budget": 320, "episodes": 20, "queries": 5, "seeds": (0,),
    "device": "cpu", "precision": "32", "threads": 1,
}  # fmt: skip


def name(path):
    return f"{path.parent.name}/{path.stem}"


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
        report = Report.of([(tmp_path / "runs", record)], published=True)
        assert not report.failures
        assert render(report, "markdown", catalogue)
        trained = [path.parent.name for path in (tmp_path / "runs").glob("stages/tiny/*/trained.json")]
        return [row.name for row in report.tables[0].rows], Counter(each.split("-seed")[0] for each in trained)

    return run


def test_there_are_plans():
    assert {path.stem for path in PLANS if path.parent.name == "paper"} == set(PAPER)
    assert len([path for path in PLANS if path.parent.name == "ablations"]) >= 6


@pytest.mark.parametrize("path", PLANS, ids=name)
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
        assert {entry.backbone for entry in methods} == {"resnet12"}
        assert not {entry.preset for entry in methods} & {"quick"}
    assert plan.seeds == (0, 1, 2)


@pytest.mark.parametrize(("stem", "dataset"), PAPER.items())
def test_the_paper_plans_differ_in_their_dataset_alone(stem, dataset):
    plan = load_plan(FOLDER / "paper" / f"{stem}.toml", {})
    assert (plan.dataset, plan.preset, plan.baseline) == ((dataset,), "paper", "rfs/simple")
    assert not plan.set
    first = load_plan(FOLDER / "paper" / "cifar-fs.toml", {})
    assert plan.model_copy(update={"dataset": first.dataset}) == first


def test_a_paper_plan_runs_end_to_end(run_plan):
    small = {
        f"{label}.train_{what}": n
        for label in ("protonet", "protonet-5-shot")
        for what, n in (("way", 4), ("query", 2))
    }
    rows, trained = run_plan("paper/cifar-fs.toml", **small)
    assert rows == [
        "pixels", "untrained", "rfs/simple", "rfs/distill-1", "rfs/distill-2", "skd/gen0", "skd/gen1",
        "skd-code/gen0", "skd-code/gen1", "protonet", "protonet-5-shot",
    ]  # fmt: skip
    assert trained["skd-gen0"] == 1
    assert trained["skd-gen1"] == trained["protonet-protonet"] == 2


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


def test_the_recipes_of_paper_and_code_share_gen0(run_plan):
    rows, trained = run_plan("ablations/skd-recipe.toml")
    assert rows == [
        f"{label}/gen1" for label in ("paper", "code", "temperature", "learning-rate", "divisor", "forward")
    ]
    assert trained == {"skd-gen0": 1, "skd-gen1": 6}

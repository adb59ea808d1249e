"""harness/bench/bench.py: the pipeline from a plan to a record."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from harness.common.errors import RunsError
from harness.contract.heads import ClassifierSpec
from harness.contract.hooks import hookimpl
from harness.contract.methods import Stage
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobDone, JobStarted
from harness.execution.factory import make_executor
from harness.reports.build import build_report
from harness.training.events import EpochDone
from tests.helpers.bench import happened, weights
from tests.helpers.plugins import a_method, offering


def table(record, runs, catalogue):
    """The markdown table without what may differ between equal runs: times and memory."""
    report = build_report([(runs, record)])
    lines = catalogue.reporter("markdown").render(report).splitlines()
    drop = [i for i, cell in enumerate(lines[2].split("|")) if cell.strip() in ("training", "memory")]
    return [
        "|".join(cell for i, cell in enumerate(line.split("|")) if not line.startswith("|") or i not in drop)
        for line in lines
    ]


@pytest.mark.learn2learn
def test_every_stage_has_a_row_scored_on_the_same_episodes(run_bench):
    record = run_bench(methods=("rfs", "skd", "protonet"), floors=True, set=dict(PROTO))
    stages = record.tables[0].stages
    assert [stage.row for stage in stages] == [
        "pixels",
        "untrained",
        "rfs/simple",
        "rfs/distill-1",
        "skd/gen0",
        "skd/gen1",
        "protonet",
    ]
    assert all(stage.failure is None for stage in stages)
    kinds = record.tables[0].episodes
    assert [(kind.target, kind.k_shot) for kind in kinds] == [
        ("closed", 1),
        ("closed", 5),
        ("open", 1),
        ("open", 5),
    ]


class Backwards:
    """An executor that takes all that can begin, works from the last of it, and notes what it met at once."""

    def __init__(self, catalogue):
        self.inline = make_executor("inline", catalogue)
        self.met = []

    def check(self, machine):
        """Any will do."""

    def run(self, ready, emit):
        taken = []
        while taken := [*taken, *iter(ready, None)]:
            self.met.append([f"{job.name} {job.seed}" for job in taken])
            yield from self.inline.run(iter([taken.pop(), None]).__next__, emit)


def test_an_executor_may_work_on_all_that_can_begin(run_bench, catalogue, tmp_path):
    asked = {"methods": ("rfs", "again=rfs"), "seeds": (0, 1), "set": {"rfs.generations": 1}}
    executor = Backwards(catalogue)
    record = run_bench(executor=executor, output=tmp_path / "backwards", **asked)
    assert executor.met[0] == ["rfs/simple 0", "rfs/simple 1"]  # again/simple is the same stage, distill-1 its child
    assert ["rfs/simple 0", "rfs/distill-1 1"] in executor.met
    in_order = run_bench(output=tmp_path / "in order", **asked)
    assert table(record, tmp_path / "backwards", catalogue) == table(in_order, tmp_path / "in order", catalogue)
    assert weights(tmp_path / "backwards") == weights(tmp_path / "in order")


PROTO = {"protonet.train_way": 5, "protonet.train_shot": 2, "protonet.train_query": 3}


def test_the_same_bench_again_trains_nothing_and_prints_the_same_bytes(run_bench, tmp_path, catalogue):
    first = run_bench()
    before = weights(tmp_path / "runs")
    events = []
    second = run_bench(observe=events.append)
    assert not happened(events, JobStarted, EpochDone)
    assert all(event.reused for _, event in happened(events, JobDone))
    assert weights(tmp_path / "runs") == before
    render_one, render_two = (
        catalogue.reporter("markdown").render(build_report([(tmp_path / "runs", record)])) for record in (first, second)
    )
    assert render_one == render_two


def test_a_second_training_elsewhere_gives_the_same_weights_and_table(run_bench, tmp_path, catalogue):
    records = [run_bench(output=tmp_path / name, methods=("rfs", "skd")) for name in ("one", "two")]
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert table(records[0], tmp_path / "one", catalogue) == table(records[1], tmp_path / "two", catalogue)


def test_adding_a_method_changes_no_other_row(run_bench, tmp_path, catalogue):
    alone = table(run_bench(output=tmp_path / "alone"), tmp_path / "alone", catalogue)
    both = table(run_bench(output=tmp_path / "both", methods=("skd", "rfs")), tmp_path / "both", catalogue)

    def cells(lines, name):
        return [line.replace("*", "").split() for line in lines if line.startswith(f"| {name} ")]

    for name in ("rfs/simple", "rfs/distill-1"):
        assert cells(alone, name) == cells(both, name) != []


def test_an_option_retrains_only_the_stages_that_read_it(run_bench, tmp_path):
    run_bench(methods=("skd",))
    before = set(weights(tmp_path / "runs"))
    run_bench(methods=("skd",), set={"skd.beta": 0.7})
    new = set(weights(tmp_path / "runs")) - before
    assert [name.split("-seed")[0] for name in new] == ["skd-gen1"]


def test_another_classifier_trains_nothing(run_bench, tmp_path):
    run_bench()
    before = weights(tmp_path / "runs")
    events = []
    record = run_bench(observe=events.append, classifier="cosine", episodes=30, again=True)
    assert weights(tmp_path / "runs") == before
    assert not happened(events, EpochDone)
    assert {stage.head.classifier for stage in record.tables[0].stages} == {"cosine"}


def test_scoring_only_makes_a_failed_row_of_what_is_not_trained(run_bench, tmp_path):
    trained = run_bench(methods=("rfs",))
    shutil.rmtree(tmp_path / "runs" / trained.tables[0].stages[1].folder)
    record = run_bench(methods=("rfs",), again=True)
    assert [stage.failure for stage in record.tables[0].stages] == [
        None,
        "it is not trained: run its bench again",
    ]


def test_scoring_only_refuses_where_nothing_is_trained(run_bench, tmp_path):
    run_bench()
    shutil.rmtree(tmp_path / "runs" / "stages")
    with pytest.raises(RunsError, match="rfs/simple seed 0 is not trained"):
        run_bench(again=True)


def test_seeds_share_episodes_and_differ_in_weights(run_bench, tmp_path):
    record = run_bench(seeds=(0, 1))
    assert len(set(weights(tmp_path / "runs").values())) == 4
    fingerprints = set()
    for stage in record.tables[0].stages:
        for key in stage.scores:
            with np.load(tmp_path / "runs" / stage.folder / "scores" / f"{key}.npz") as kept:
                fingerprints.add(json.loads(str(kept["about"]))["episodes_fingerprint"])
    assert len(fingerprints) == len(record.tables[0].episodes)


def test_a_stage_that_fails_is_a_row_and_so_are_its_children(run_bench, catalogue, tmp_path):
    events = []
    record = run_bench(
        observe=events.append, methods=("bad=rfs", "skd"), set={"bad.learning_rate": 1e30, "skd.learning_rate": 0.01}
    )
    outcomes = {job.name: event.outcome for job, event in happened(events, JobDone)}
    assert isinstance(outcomes["bad/simple"], StageFailure)
    assert "not finite" in outcomes["bad/simple"].error
    assert outcomes["bad/distill-1"].error.startswith("its parent bad/simple failed: the loss is not finite")
    assert isinstance(outcomes["skd/gen1"], StageResult)
    report = build_report([(tmp_path / "runs", record)])
    assert len(report.failures) == 2
    assert "bad/simple failed: seed 0: the loss is not finite" in catalogue.reporter("markdown").render(report)


def test_a_failed_stage_is_tried_again(run_bench, tmp_path):
    run_bench(set={"rfs.learning_rate": 1e30})
    failures = list((tmp_path / "runs").glob("stages/*/*/failure.txt"))
    assert len(failures) == 1
    events = []
    run_bench(observe=events.append, set={"rfs.learning_rate": 1e30})
    assert [job.name for job, _ in happened(events, JobStarted)] == ["rfs/simple"]


class Mean(torch.nn.Module):
    """Features around the mean image of the base classes, which a loop of its own finds."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(16 * 16 * 3))

    def embed(self, images):
        return images.flatten(1).float() / 255 - self.mean


def own_loop(megabytes):
    def fit(context, learner):
        np.ones(megabytes * 2**20, np.uint8)
        learner.mean.copy_(torch.from_numpy(context.train.images.reshape(len(context.train), -1).mean(0) / 255))

    return lambda options: [Stage("only", lambda context: Mean(), fit)]


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system sets no peak back")
def test_a_loop_of_its_own_is_no_floor_and_has_a_peak_of_its_own(run_bench, catalogue, tmp_path):
    methods = [a_method(name, stages=own_loop(size)) for name, size in (("greedy", 600), ("modest", 1))]
    catalogue.add("loops", offering(harness_methods=methods))
    record = run_bench(methods=("greedy", "modest"), classifier="nearest-centroid")
    (table,) = build_report([(tmp_path / "runs", record)]).tables
    greedy, modest = table.rows
    for row in table.rows:
        assert (row.images_seen, row.flops, row.floor) == (None, None, False)
        assert row.fit_seconds > 0
    assert greedy.peak_memory_bytes - modest.peak_memory_bytes > 300 * 2**20


def test_a_budget_gives_every_stage_the_same_images(run_bench, tmp_path):
    record = run_bench(methods=("rfs", "skd"), budget=1280)
    seen = {
        stage.row: json.loads((tmp_path / "runs" / stage.folder / "trained.json").read_text())["images_seen"]
        for stage in record.tables[0].stages
    }
    assert set(seen.values()) == {1280}, seen


def test_trainval_trains_on_more_classes(run_bench, tmp_path):
    record = run_bench(train_on="trainval", methods=("rfs",), set={"rfs.generations": 0})
    folder = tmp_path / "runs" / record.tables[0].stages[0].folder
    assert json.loads((folder / "trained.json").read_text())["n_classes"] == 14


def test_the_global_random_state_is_left_alone(run_bench):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    run_bench(set={"rfs.generations": 0})
    assert torch.equal(torch.random.get_rng_state(), before)


class Transductive:
    """Class means, once refined by the queries nearest to them: it looks at all queries of an episode."""

    @hookimpl
    def harness_classifiers(self):
        def load():
            def classify(support, support_labels, query, n_way):
                means = torch.stack([support[:, support_labels[0] == way].mean(1) for way in range(n_way)], 1)
                share = (-torch.cdist(query, means)).softmax(2)
                refined = (means + share.transpose(1, 2) @ query) / (1 + share.sum(1)[..., None])
                return -torch.cdist(query, refined)

            return classify

        return [ClassifierSpec("refined", "class means refined by the queries", load, transductive=True)]


def test_a_transductive_head_is_scored_with_unbalanced_queries_too(run_bench, catalogue, tmp_path):
    catalogue.add("transductive", Transductive())
    record = run_bench(classifier="refined", set={"rfs.generations": 0}, shots=(1,))
    kinds = [(kind.k_shot, kind.dirichlet, kind.target) for kind in record.tables[0].episodes]
    assert (1, 2.0, "closed") in kinds
    assert len({len(stage.scores) for stage in record.tables[0].stages}) == 1  # all rows, to compare them
    text = catalogue.reporter("markdown").render(build_report([(tmp_path / "runs", record)]))
    assert "Dirichlet" in text
    assert "refined, l2 (transductive)" in text
    record = run_bench(set={"rfs.generations": 0}, shots=(1,), again=True)
    assert not any(kind.dirichlet for kind in record.tables[0].episodes)


def test_a_random_split_of_ones_own_classes_is_written_down_and_used_again(run_bench, tmp_path):
    for number in range(12):
        folder = tmp_path / "photos" / f"class-{number}"
        folder.mkdir(parents=True)
        for image in range(8):
            pixels = np.random.default_rng([number, image]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{image}.png")
    values = {"dataset": (f"folder:{tmp_path / 'photos'}",), "image_size": 16, "way": (2,), "queries": 3}
    first = run_bench(**values, split="50/0/50", split_seed=3)
    again = run_bench(**values, split="50/0/50", split_seed=3)
    other = run_bench(**values, split="50/0/50", split_seed=4)
    assert (first.plan.split, first.plan.split_seed) == ("50/0/50", 3)
    assert first.tables[0].notes == ("classes split at random 50/0/50 (seed 3): 6 base, 6 novel",)
    fingerprints = [record.tables[0].data_fingerprint for record in (first, again, other)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert [stage.failure for stage in first.tables[0].stages] == [None, None]

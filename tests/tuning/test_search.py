"""harness/tuning and harness/cli/tune.py: options chosen on validation episodes alone."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.bench.plan import load_plan
from harness.cli.tune import searched, summary
from harness.common.errors import HarnessError
from harness.contract.hooks import hookimpl
from harness.contract.plan import BenchPlan
from harness.execution.events import JobStarted, Note
from harness.execution.factory import make_executor
from harness.execution.source import DataSource
from harness.training.events import EpochDone
from harness.tuning.record import Search
from harness.tuning.search import tune
from harness.tuning.space import Choices, Range, as_space, propose
from tests.helpers.bench import happened

BETA = {"skd.beta": Range(0.025, 0.5)}
SMALL = {
    "dataset": ("tiny",),
    "methods": ("skd",),
    "budget": 640,
    "episodes": 20,
    "queries": 5,
    "device": "cpu",
    "precision": "32",
    "threads": 1,
}


@pytest.fixture
def run_tune(catalogue, tmp_path):
    """Run a small search in this process: ``run_tune(BETA, n_trials=3)``."""

    def run(space, n_trials=3, observe=lambda event: None, output=None, stage=None, seed=0, at_once=1, **plan):
        search = Search(BenchPlan.model_validate({**SMALL, **plan}), space, stage, seed)
        workers = make_executor("inline", catalogue)
        folder = output or tmp_path / "runs"
        return tune(search, n_trials, catalogue, workers, folder, tmp_path / "data", observe, at_once)

    return run


def trained(output):
    return Counter(path.parent.name.split("-seed")[0] for path in output.glob("stages/*/*/weights.safetensors"))


# ── where to look ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("0.025..0.5", float, Range(0.025, 0.5)),
        ("1e-4..1e-1", float, Range(1e-4, 1e-1)),
        ("1..4", float, Range(1, 4)),
        ("1..4", int, Range(1, 4, whole=True)),
        ("1..4", int | None, Range(1, 4, whole=True)),
        ([1, 2, 4], float, Choices((1, 2, 4))),
        (["l2", "simclr"], str, Choices(("l2", "simclr"))),
        ([45, 60], tuple[int, ...], None),  # one value of an option that holds several
        ([[45], [30, 60]], tuple[int, ...], Choices(([45], [30, 60]))),
        (2, float, None),
        ("l2", str, None),
        ("a..b", str, None),
    ],
)
def test_a_setting_is_a_range_a_list_or_one_value(value, annotation, expected):
    assert as_space("skd.beta", value, annotation) == expected


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("4..1", float),
        ("1..1", float),
        ("0.5..4", int),
        ("1..inf", float),
        ("0.1..", float),
        ("a..b", int),
        ("1..4", str),
        ([1, 1], float),
        ([1], float),
    ],
)
def test_a_space_that_is_none_is_refused(value, annotation):
    with pytest.raises(HarnessError, match=r"--set skd.beta="):
        as_space("skd.beta", value, annotation)


def test_a_range_of_a_tenfold_or_more_is_searched_by_its_logarithm():
    assert Range(0.025, 0.5).log
    assert Range(1, 10, whole=True).log
    assert not Range(0.1, 0.9).log
    assert not Range(0, 100).log
    pytest.importorskip("optuna")
    low = sum(propose({"x": Range(0.001, 1000.0)}, [], seed)["x"] < 1 for seed in range(60))
    assert 15 < low < 45  # by halves; evenly on a linear scale it would be 0


def test_proposals_repeat_and_lie_in_the_space_and_are_short():
    pytest.importorskip("optuna")
    space = {"x": Range(0.025, 0.5), "n": Range(2, 5, whole=True), "kind": Choices(("a", None, [1, 2]))}
    tried = []
    for _ in range(12):
        values = propose(space, tried, 3)
        assert values == propose(space, tried, 3)
        assert all(values[name] in space[name] for name in space)
        assert isinstance(values["n"], int)
        assert len(repr(values["x"])) <= 7
        tried.append((values, values["x"]))
    assert propose(space, tried, 4) != propose(space, tried, 3)


def test_a_finite_space_is_searched_whole_and_nothing_twice():
    pytest.importorskip("optuna")
    space = {"n": Range(1, 3, whole=True), "kind": Choices(("a", "b"))}
    tried = []
    while (values := propose(space, tried, 0)) is not None:
        tried.append((values, 0.5 if values["kind"] == "a" else None))
    assert len({json.dumps(values) for values, _ in tried}) == len(tried) == 6


def test_values_proposed_together_differ_and_keep_away_from_each_other():
    pytest.importorskip("optuna")
    space = {"x": Range(0.0, 1.0)}
    tried = [({"x": x / 10}, -((x / 10 - 0.7) ** 2)) for x in range(11)]
    pending = []
    for _ in range(8):
        pending.append(propose(space, tried, 0, pending))
    assert len({values["x"] for values in pending}) == 8
    alone = [propose(space, tried, seed)["x"] for seed in range(8)]
    assert np.std([values["x"] for values in pending]) > np.std(alone)
    assert propose({"x": Choices((1, 2))}, [({"x": 1}, 0.5)], 0, [{"x": 2}]) is None


def test_a_long_list_is_searched_to_its_last_value():
    pytest.importorskip("optuna")
    tried = [({"x": x}, 0.5) for x in range(299)]
    assert propose({"x": Choices(tuple(range(300)))}, tried, 0) == {"x": 299}


def test_a_narrow_range_ends_when_its_values_are_tried():
    pytest.importorskip("optuna")
    space, tried = {"x": Range(1.0, 1.001)}, []  # 1.0 and 1.001 at four digits
    while (values := propose(space, tried, 0)) is not None:
        tried.append((values, 0.5))
    assert sorted(values["x"] for values, _ in tried) == [1.0, 1.001]


def test_the_search_learns_where_it_is_high():
    pytest.importorskip("optuna")
    tried = []
    for _ in range(25):
        values = propose({"x": Range(0.0, 1.0)}, tried, 0)
        tried.append((values, -((values["x"] - 0.7) ** 2)))
    late = [abs(values["x"] - 0.7) for values, _ in tried[10:]]
    assert sum(late) / len(late) < 0.2  # 0.29 by chance


# ── a search ──────────────────────────────────────────────────────────────────────────────────────


def test_a_search_over_beta_trains_gen0_once(run_tune, tmp_path):
    found = run_tune(BETA, 3)
    assert trained(tmp_path / "runs") == {"skd-gen0": 1, "skd-gen1": 3}
    assert found.row == "skd/gen1"
    assert found.trials[0].values == {"skd.beta": 0.1}  # the preset's own
    assert len({trial.values["skd.beta"] for trial in found.trials}) == 3
    assert found.best.accuracy == max(trial.accuracy for trial in found.trials)
    for trial in found.trials:
        assert trial.settings.keys() == {"5-way 1-shot", "5-way 5-shot"}
        mean = sum(setting.mean for setting in trial.settings.values()) / 2
        assert trial.accuracy == pytest.approx(mean)
    assert not (tmp_path / "runs" / "benches").exists()


def test_the_accuracy_is_that_of_a_bench_on_the_validation_classes(run_tune, run_bench, tmp_path, catalogue):
    from harness.reports.build import build_report

    found = run_tune({"skd.beta": Choices((0.1, 0.3))}, 2)
    events = []
    record = run_bench(
        observe=events.append, methods=("skd",), set={"skd.beta": 0.3}, score_on="val", rows=("skd/gen1",)
    )
    assert not happened(events, JobStarted, EpochDone)
    (row,) = build_report([(tmp_path / "runs", record)]).tables[0].rows
    cells = {str(spec): cell.intervals["closed"].mean for spec, cell in row.cells.items()}
    assert {name: each.mean for name, each in found.trials[1].settings.items()} == pytest.approx(cells)
    record = run_bench(methods=("skd",), set={"skd.beta": 0.3}, rows=("skd/gen1",))
    (row,) = build_report([(tmp_path / "runs", record)]).tables[0].rows
    assert {str(spec): cell.intervals["closed"].mean for spec, cell in row.cells.items()} != pytest.approx(cells)


def test_unbalanced_episodes_count_as_settings_of_their_own(run_tune, catalogue, tmp_path):
    """A transductive method is scored on them too, in an order of its own."""
    rfs = catalogue.methods["rfs"]
    catalogue.methods["rfs"] = replace(rfs, transductive=True)
    found = run_tune({"rfs.momentum": Choices((0.8, 0.9))}, 1, methods=("rfs",), stage="simple")
    settings = found.trials[0].settings
    assert len(settings) == 4
    (folder,) = (tmp_path / "runs").glob("stages/tiny/rfs-simple*")
    kept = [np.load(path) for path in folder.glob("scores/*.npz")]
    about = [json.loads(str(each["about"])) for each in kept]
    closed = [
        float(each["accuracies"].mean()) for each, of in zip(kept, about, strict=True) if of["target"] == "closed"
    ]
    assert sorted(closed) == pytest.approx(sorted(each.mean for each in settings.values()))


class Untouchable:
    """Images that nobody may look at."""

    def __init__(self, images):
        self.shape, self.dtype, self.ndim = images.shape, images.dtype, images.ndim

    def __getitem__(self, index):
        raise AssertionError("the novel classes were opened")

    def __array__(self, *arguments, **more):
        raise AssertionError("the novel classes were opened")


def offered(tiny, **changes):
    """A plugin with the dataset ``changed``: the tiny one, changed."""
    spec = replace(tiny.spec, name="changed", open=lambda request: replace(tiny, spec=spec, **changes))

    class Plugin:
        @hookimpl
        def harness_datasets(self):
            return [spec]

    return Plugin()


def test_the_novel_classes_are_never_opened(run_tune, run_bench, catalogue, tiny):
    guarded = replace(tiny.test, images=Untouchable(tiny.test.images))
    catalogue.add("guarded", offered(tiny, test=guarded))
    found = run_tune(BETA, 2, dataset=("changed",))
    assert all(trial.failure is None for trial in found.trials)
    assert DataSource("changed", Path(), score_on="val").open(catalogue).test is None
    record = run_bench(methods=("skd",), dataset=("changed",))  # the guard works
    assert "the novel classes were opened" in record.tables[0].stages[0].failure


def test_a_dataset_without_validation_classes_is_refused(run_tune, catalogue, tiny, tmp_path):
    catalogue.add("without", offered(tiny, val=None))
    with pytest.raises(HarnessError, match="changed has no validation classes"):
        run_tune(BETA, dataset=("changed",))
    assert not trained(tmp_path / "runs")


class Killed(BaseException):
    """Not an Exception, which would be a failed stage."""


@pytest.mark.parametrize(
    ("space", "at_once", "killed_in"),
    [(BETA, 1, 8), ({**BETA, "skd.alpha": Range(1.0, 3.0)}, 1, 7), (BETA, 2, 8)],
    ids=["in gen1", "in gen0", "in the second of two at once"],
)
def test_a_search_that_was_killed_ends_as_if_it_had_not_been(run_tune, tmp_path, space, at_once, killed_in):
    """Killed in the second of three trials: Gen-0 takes two epochs here, Gen-1 four."""
    small = {"budget": 1280, "shots": (1,), "at_once": at_once}
    epochs = []

    def count(event):
        epochs.extend((job.key, event.epoch) for job, event in happened([event], EpochDone))

    def kill(event):
        count(event)
        if len(epochs) == killed_in:
            raise Killed

    whole = run_tune(space, 3, output=tmp_path / "whole", **small)
    with pytest.raises(Killed):
        run_tune(space, 3, kill, output=tmp_path / "killed", **small)
    again = run_tune(space, 3, count, output=tmp_path / "killed", **small)
    assert again.trials == whole.trials
    assert len(set(epochs)) == len(epochs)  # no epoch of any stage was trained twice
    assert (again.folder / "search.json").read_bytes() == (whole.folder / "search.json").read_bytes()


def test_trials_at_once_are_jobs_of_one_bench_and_share_their_stages(run_tune, tmp_path):
    events = []
    found = run_tune(BETA, 4, events.append, at_once=3, seeds=(0, 1))
    assert trained(tmp_path / "runs") == {"skd-gen0": 2, "skd-gen1": 8}
    assert found.trials[0].values == {"skd.beta": 0.1}
    assert len({trial.values["skd.beta"] for trial in found.trials}) == 4
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    begun = [(job.label, job.stage) for job, _ in happened(events, JobStarted) if job.seed == 1]
    assert begun[:4] == [("skd-1", "gen0"), ("skd-1", "gen1"), ("skd-2", "gen1"), ("skd-3", "gen1")]
    noted = [i for i, event in enumerate(events) if isinstance(event, Note)]
    assert noted[1] == noted[0] + 1  # all of a round are told when it ends
    alone = run_tune(BETA, 1, seeds=(0, 1), output=tmp_path / "alone")
    assert found.trials[0] == alone.trials[0]


def test_a_finished_search_trains_nothing_and_more_trials_extend_it(run_tune):
    first = run_tune(BETA, 2)
    events = []
    assert run_tune(BETA, 2, events.append).trials == first.trials
    assert not happened(events, JobStarted, EpochDone)
    assert not [event for event in events if isinstance(event, Note)]
    more = run_tune(BETA, 3)
    assert more.trials[:2] == first.trials
    assert len(run_tune(BETA, 1).trials) == 3  # what was tried is shown


def test_another_search_is_another_record(run_tune):
    folders = {
        run_tune(BETA, 1).folder,
        run_tune(BETA, 1, seed=1).folder,
        run_tune(BETA, 1, shots=(1,)).folder,
        run_tune({"skd.beta": Range(0.05, 0.5)}, 1).folder,
    }
    assert len(folders) == 4
    assert run_tune(BETA, 1, threads=2).folder in folders


def test_a_list_of_two_is_searched_whole_and_then_done(run_tune):
    events = []
    found = run_tune({"skd.consistency": Choices(("none", "l2"))}, 9, events.append)
    assert [trial.values["skd.consistency"] for trial in found.trials] == ["l2", "none"]  # the preset's first
    assert any(isinstance(event, Note) and "all 2 choices" in event.text for event in events)


def test_a_trial_that_fails_is_kept_and_not_chosen(run_tune):
    found = run_tune({"skd.learning_rate": Choices((0.01, 1e30))}, 2, budget=320)
    failed = next(trial for trial in found.trials if trial.failure)
    assert failed.values == {"skd.learning_rate": 1e30}
    assert failed.accuracy is None
    assert found.best.values == {"skd.learning_rate": 0.01}


def test_the_stage_asked_for_counts_and_what_comes_after_it_is_not_trained(run_tune, tmp_path):
    found = run_tune({"skd.alpha": Choices((1, 2))}, 2, stage="gen0")
    assert found.row == "skd/gen0"
    assert trained(tmp_path / "runs") == {"skd-gen0": 2}
    assert found.trials[0].values == {"skd.alpha": 2.0}


def test_the_best_values_are_a_plan_whose_stages_are_trained(run_tune, run_bench, tmp_path, catalogue):
    found = run_tune(BETA, 2, set={"skd.temperature": 2})
    plan = load_plan(found.folder / "best.toml", {})
    assert plan.set == {"skd.temperature": 2, **found.best.values}
    assert (plan.score_on, plan.rows, plan.budget, plan.episodes) == ("test", (), 640, 20)
    events = []
    run_bench(observe=events.append, **{**plan.model_dump(), "floors": False})
    assert not happened(events, EpochDone)
    header, *lines = (found.folder / "trials.csv").read_text().splitlines()
    assert header == "trial,skd.beta,accuracy,5-way 1-shot,5-way 5-shot,failure"
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("space", "values", "message"),
    [
        ({}, {}, "nothing to search"),
        ({"skd.betta": Range(0, 1)}, {}, "Did you mean 'beta'"),
        ({"skd.beta": Range(-1, 1)}, {}, "skd.beta = -1"),
        ({"skd.twin": Choices(("90", "91"))}, {}, "skd.twin = '91'"),
        (BETA, {"stage": "gen2"}, "no stage 'gen2'"),
        (BETA, {"stage": "gen0"}, "skd/gen0 does not read 'beta'"),
        ({"skd.beta": Choices((0, 0.0))}, {}, "its values are all 0.0"),
        (BETA, {"dataset": ("tiny", "glyphs")}, "one dataset"),
        (BETA, {"methods": ("skd", "rfs")}, "one method"),
        (BETA, {"train_on": "trainval"}, "validation classes"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_any_training(run_tune, tmp_path, space, values, message):
    with pytest.raises(HarnessError, match=message):
        run_tune(space, **values)
    assert not trained(tmp_path / "runs")


def test_two_processes_do_not_share_a_search(run_tune):
    from filelock import FileLock

    folder = run_tune(BETA, 1).folder
    with FileLock(folder / ".lock"), pytest.raises(HarnessError, match="another process"):
        run_tune(BETA, 2)


def test_without_optuna_one_line_says_what_to_install(run_tune, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HarnessError, match=r"pip install 'fsl-harness\[tune\]'"):
        run_tune(BETA)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


def test_the_flags_make_the_search(catalogue):
    plan = load_plan(None, {"methods": ("mine=skd:paper",), "dataset": ("tiny",)})
    settings = ["mine.beta=0.025..0.5", "mine.alpha=1,2,4", "mine.temperature=2", "mine.decay_at=3,5"]
    search = searched(plan, settings, "gen1", 7, catalogue)
    assert search.space == {"mine.beta": Range(0.025, 0.5), "mine.alpha": Choices((1, 2, 4))}
    assert search.plan.set == {"mine.temperature": 2, "mine.decay_at": [3, 5]}
    assert (search.stage, search.seed) == ("gen1", 7)
    with pytest.raises(HarnessError, match="label in --set 'skd'"):
        searched(plan, ["skd.beta=0..1"], None, 0, catalogue)
    with pytest.raises(HarnessError, match="Did you mean 'beta'"):
        searched(plan, ["mine.betta=0..1"], None, 0, catalogue)
    with pytest.raises(HarnessError, match="given twice"):
        searched(plan, ["mine.beta=0..1", "mine.beta=0.1"], None, 0, catalogue)


def test_the_summary_has_every_trial_and_what_to_do_next(run_tune, tmp_path):
    search = Search(BenchPlan.model_validate(SMALL), BETA)
    found = run_tune(BETA, 2)
    text = summary(found, search, tmp_path / "runs")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 2
    assert sum("**" in row for row in rows) == 1
    assert f"--set skd.beta={found.best.values['skd.beta']}" in text
    assert f"harness bench {found.folder / 'best.toml'} --output {tmp_path / 'runs'}" in text
    assert "the novel classes were not opened" in text


def test_the_command_prints_the_table_alone_on_standard_output(catalogue, monkeypatch, capsys, tmp_path):
    from harness.catalogue.catalogue import Catalogue
    from harness.cli.main import main

    monkeypatch.setattr(Catalogue, "discover", lambda: catalogue)
    flags = "--dataset tiny --budget images=320 --episodes 10 --queries 5 --shots 1 --device cpu --threads 1 --executor"
    command = ["tune", "rfs", "--set", "rfs.temperature=2,4", "--trials", "2", *flags.split(), "inline"]
    assert main([*command, "--stage", "distill-1", "--output", str(tmp_path / "runs")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("## rfs/distill-1 on the validation classes of tiny\n\n| trial")
    assert "trial 2 of 2" in err
    assert main([*command, "--output", str(tmp_path / "runs"), "--set", "rfs.temperatur=2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1

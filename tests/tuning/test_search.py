"""harness/tuning/search.py: options chosen on validation episodes alone."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.bench.plan import load_plan
from harness.common.errors import HarnessError
from harness.contract.hooks import hookimpl
from harness.execution.events import JobStarted, Note
from harness.execution.source import DataSource
from harness.networks.backbones.conv4 import Conv4
from harness.training.events import EpochDone
from harness.tuning.space import Choices, Range
from tests.helpers.bench import happened
from tests.helpers.tuning import BETA, SMALL


def trained(output):
    return Counter(path.parent.name.split("-seed")[0] for path in output.glob("stages/*/*/weights.safetensors"))


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
    asked, events = {**SMALL, "set": {"skd.beta": 0.3}, "rows": ("skd/gen1",)}, []
    record = run_bench(observe=events.append, score_on="val", predictions=False, **asked)
    assert not happened(events, JobStarted, EpochDone)
    (row,) = build_report([(tmp_path / "runs", record)]).tables[0].rows
    cells = {str(spec): cell.intervals["closed"].mean for spec, cell in row.cells.items()}
    assert {name: each.mean for name, each in found.trials[1].settings.items()} == pytest.approx(cells)
    record = run_bench(**asked)
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
    found = run_tune({"skd.learning_rate": Choices((0.01, 1e30))}, 2)
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
    assert (plan.score_on, plan.rows, plan.budget, plan.episodes) == ("test", (), 320, 10)
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


def test_weights_named_for_the_methods_label_are_those_of_every_trial(run_tune, tmp_path):
    torch.save(Conv4(16, 3).state_dict(), tmp_path / "start.pth")
    file = str(tmp_path / "start.pth")
    named = run_tune({"rfs.learning_rate": Choices((0.01, 0.02))}, 2, methods=("rfs",), weights=f"rfs={file}")
    before = trained(tmp_path / "runs")
    alone = run_tune({"rfs.learning_rate": Choices((0.01, 0.02))}, 2, methods=("rfs",), weights=file)
    assert [t.accuracy for t in named.record.trials] == [t.accuracy for t in alone.record.trials]
    assert trained(tmp_path / "runs") == before  # nothing was trained anew

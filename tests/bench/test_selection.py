"""Weights selected on validation episodes, and validation classes that do not suffice."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from harness.common.errors import HarnessError
from harness.contract.data import Split
from harness.contract.hooks import hookimpl
from harness.contract.recipe import Selection
from harness.execution.events import JobDone
from harness.execution.work import Work
from tests.helpers.bench import happened
from tests.helpers.plugins import offering


def test_best_val_selection_keeps_the_weights_that_did_best_on_validation_episodes(run_bench, tmp_path, catalogue):
    events = []
    settings = {"rfs.selection": "best-val", "rfs.generations": 0, "rfs.learning_rate": 1.0}
    record = run_bench(observe=events.append, set=settings, budget=192 * 3)
    folder = tmp_path / "runs" / record.tables[0].stages[0].folder
    with (folder / "metrics.csv").open() as file:
        measured = [float(line["val_accuracy"]) for line in csv.DictReader(file)]
    assert max(measured) > measured[-1], measured  # else the last epoch would do
    [(job, _)] = happened(events, JobDone)
    work = Work(job, catalogue, lambda event: None)
    assert work.validator()(work.trained_learner(), Selection()) == max(measured)


def test_best_val_selection_without_validation_classes_is_refused_before_training(run_bench, catalogue, tiny, tmp_path):
    spec = replace(tiny.spec, name="no-val", open=lambda request: replace(tiny, spec=spec, val=None))
    catalogue.add("no-val", offering(harness_datasets=[spec]))
    with pytest.raises(HarnessError, match=r"rfs\.selection = best-val, but no-val has no validation classes"):
        run_bench(dataset=("no-val",), set={"rfs.selection": "best-val"})
    assert not list((tmp_path / "runs").glob("stages/*/*"))
    assert run_bench(dataset=("no-val",), set={"rfs.selection": "last", "rfs.generations": 0})


def test_validation_classes_too_few_for_episodes_hinder_no_training(run_bench, catalogue, tiny):
    """They are only needed where weights are selected on them."""
    one_class = Split("val", tiny.val.images[:24], tiny.val.labels[:24], tiny.val.class_names[:1], "one class")
    spec = replace(tiny.spec, name="few", open=lambda request: replace(tiny, spec=spec, val=one_class))

    class Plugin:
        @hookimpl
        def harness_datasets(self):
            return [spec]

    catalogue.add("few", Plugin())
    record = run_bench(dataset=("few",))
    assert [stage.failure for stage in record.tables[0].stages] == [None, None]
    record = run_bench(dataset=("few",), set={"rfs.selection": "best-val"})
    assert "n_way is 1" in record.tables[0].stages[0].failure

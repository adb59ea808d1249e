"""harness/tuning/search.py, killed: the search as a whole, or the process of a trial."""

from __future__ import annotations

import json
import os
import signal

import pytest

from harness.contract.plan import BenchPlan
from harness.execution.events import JobEvent, Note
from harness.execution.factory import make_executor
from harness.training.events import EpochDone, TrainingStarted
from harness.tuning.record import Search
from harness.tuning.search import tune
from harness.tuning.space import Choices, Range
from tests.helpers.bench import happened
from tests.helpers.tuning import BETA, SMALL


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


def test_a_trial_whose_process_is_killed_is_tried_once_more(tmp_path):
    from harness.catalogue.catalogue import Catalogue
    from harness.datasets.prepared.locations import data_root

    plan = BenchPlan.model_validate(
        {**SMALL, "dataset": ("glyphs",), "methods": ("rfs",), "shots": (1,), "set": {"rfs.generations": 0}}
    )
    search, catalogue = Search(plan, {"rfs.learning_rate": Choices((0.01, 0.02))}, None, 0), Catalogue.discover()
    notes, killed = [], []

    def kill_the_first(event):
        if isinstance(event, Note):
            notes.append(event.text)
        if isinstance(event, JobEvent) and isinstance(event.event, TrainingStarted) and not killed:
            started = json.loads((event.job.folder / "log.jsonl").read_text().splitlines()[0])
            os.kill(started["pid"], signal.SIGKILL)
            killed.append(started["pid"])

    def find(name, observe):
        return tune(search, 2, catalogue, make_executor("local", catalogue), tmp_path / name, data_root(), observe)

    with_a_kill, without = find("killed", kill_the_first), find("whole", lambda event: None)
    assert len(killed) == 1
    assert "rfs-1/simple: once more" in notes
    assert [trial.accuracy for trial in with_a_kill.trials] == [trial.accuracy for trial in without.trials]
    assert None not in [trial.accuracy for trial in without.trials]

"""harness/bench/past.py and remaining.py: what earlier stages took, and how long a bench has to go on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from harness.bench.events import BenchStarted
from harness.bench.past import Kind, Past, length_ratio, machine_of
from harness.bench.remaining import Remaining, spoken
from harness.contract.results import StageFailure
from harness.execution.events import JobDone, JobStarted, WorkStarted
from harness.training.events import TrainingProgress

MACHINE = {"device": "a processor", "precision": "32", "threads": "1", "processes": "1"}


class Known(Past):
    """A past in which rfs/simple took 40 s, of which 10 s were scoring, and nothing else is known."""

    def seconds(self, kind, machine, trained=False):
        return (10.0 if trained else 40.0) if kind.stage == "simple" else None

    def add(self, job):
        pass


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Jobs of rfs with two seeds, and the run folder in which the first seed is trained."""
    from harness.bench.bench import bench
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.execution.factory import make_executor
    from tests.conftest import TinyPlugin

    catalogue = Catalogue.discover()
    catalogue.add("tiny-plugin", TinyPlugin())
    folder, jobs = tmp_path_factory.mktemp("past"), []

    def end_the_second(event):
        if isinstance(event, BenchStarted):
            jobs.append(list(event.jobs))
            if len(jobs) == 2:
                raise KeyboardInterrupt

    for seeds in ((0,), (0, 1)):
        plan = BenchPlan(
            dataset=("tiny",),
            methods=("rfs",),
            floors=False,
            budget=640,
            episodes=20,
            queries=5,
            seeds=seeds,
            device="cpu",
            precision="32",
            threads=1,
        )
        executor = make_executor("inline", catalogue)
        with contextlib.suppress(KeyboardInterrupt):
            bench(plan, catalogue, executor, folder / "runs", folder / "data", end_the_second)
    return jobs[1]


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def remaining(kept, now):
    clock = Remaining(Known(), clock=lambda: now[0])
    clock.begin(kept)
    return clock


def conditions(job):
    return machine_of(_record(job).conditions)


def _record(job):
    from harness.runs import StageFolder

    return StageFolder(job.folder).trained


def test_a_stage_that_was_trained_says_how_long_its_other_seeds_take(kept):
    first, _, second, _ = kept
    machine = conditions(first)
    [(stage, ratio)] = Past().like(Kind.of(second), machine)
    assert ratio == 1.0
    assert stage.trained.images_seen == 640
    expected = stage.trained.fit_seconds + stage.scoring_seconds + stage.other_seconds
    assert Past().seconds(Kind.of(second), machine) == pytest.approx(expected)
    assert Past().seconds(Kind.of(second), machine, trained=True) == pytest.approx(
        stage.scoring_seconds + stage.other_seconds
    )


def test_another_machine_says_nothing(kept):
    machine = conditions(kept[0])
    for name, other in (("device", "another"), ("threads", "2"), ("precision", "bf16"), ("processes", "2")):
        assert Past().seconds(Kind.of(kept[2]), {**machine, name: other}) is None


def test_a_damaged_stage_says_nothing(kept, tmp_path):
    place = tmp_path / "rfs-simple-seed0-0"
    place.mkdir()
    (place / "trained.json").write_text("{")
    kind = Kind(tmp_path, "rfs", "simple", "conv4", "", "{}")
    assert Past().seconds(kind, MACHINE) is None


@pytest.mark.parametrize(
    ("now", "then", "ratio"),
    [
        ({"images": 200, "epochs": 90}, {"images": 100, "epochs": 60}, 2.0),
        ({"images": None, "epochs": 90}, {"images": None, "epochs": 60}, 1.5),
        ({"images": 200, "epochs": 90}, {"images": None, "epochs": 90}, None),
        ({"images": 4, "gen1_images": 8}, {"images": 2, "gen1_images": 4}, 2.0),
        ({"images": 4, "gen1_images": 8}, {"images": 2, "gen1_images": 8}, None),
        ({"alpha": 1}, {"alpha": 2}, 1.0),
    ],
)
def test_a_longer_training_is_foretold_in_proportion(now, then, ratio):
    assert length_ratio(now, then) == ratio


def test_nothing_is_foretold_before_a_worker_has_said_what_machine_it_is(remaining, kept):
    assert remaining.left().unknown == 4
    assert str(remaining.left()) == "time left unknown"
    remaining.hear(kept[0], JobStarted())
    assert remaining.left().unknown == 4
    remaining.hear(kept[0], WorkStarted("train", "here", MACHINE))
    left = remaining.left()
    assert (left.seconds, left.unknown) == (10 + 40, 2)  # seed 0 is trained and only to be scored
    assert str(left) == "more than 50 s left"


def test_time_left_falls_as_time_goes_by_and_follows_what_training_says(remaining, kept, now):
    remaining.hear(kept[2], JobStarted())
    remaining.hear(kept[2], WorkStarted("train", "here", MACHINE))
    now[0] = 5.0
    assert remaining.of(kept[2]) == 35.0
    remaining.hear(kept[2], TrainingProgress(1, 4, 100, 1100, 10.0, 0.5))
    assert remaining.of(kept[2]) == 100.0 + 10.0


def test_a_stage_that_ended_is_no_longer_waited_for(remaining, kept):
    for job in kept:
        assert remaining.left().unknown > 0
        remaining.hear(job, JobDone(StageFailure(job.key, "it failed"), reused=False))
    assert (remaining.left().seconds, remaining.left().unknown) == (0.0, 0)


def test_stages_side_by_side_share_what_waits(remaining, kept):
    for job in (kept[0], kept[2]):
        remaining.hear(job, JobStarted())
        remaining.hear(job, WorkStarted("train", "here", MACHINE))
    assert remaining.left().seconds == 40.0  # the longest that runs; the sum in two lanes is 25 s


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99.4, "99 s"), (110, "2 min"), (5_940, "99 min"), (12_000, "3 h 20 min"), (190_800, "2 d 5 h")],
)
def test_times_are_said_in_words(seconds, words):
    assert spoken(seconds) == words


def test_no_run_folder_is_no_past():
    kind = Kind(Path("nowhere"), "rfs", "simple", None, "", "{}")
    assert Past().seconds(kind, MACHINE) is None

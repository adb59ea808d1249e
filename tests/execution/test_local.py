"""harness/execution: jobs in processes of their own, and several processes on one training."""

from __future__ import annotations

import csv
import shlex

import numpy as np
import pytest

from harness.common.errors import HarnessError, UnknownName
from harness.execution.factory import make_executor
from harness.hardware.request import HardwareRequest
from harness.hardware.sharing import STAGE_BYTES, free_memory, room_at_once
from harness.hardware.threads import n_cores
from tests.helpers.command import run_here

FLAGS = shlex.split(
    "--no-floors --budget images=320 --episodes 20 --queries 5 --shots 1 --device cpu --precision 32 --threads 1"
)
RFS = ["--methods", "rfs", "--set", "rfs.generations=0", "--set", "rfs.learning_rate=0.01"]
PROTONET = ["--methods", "protonet", "--set", "protonet.train_way=8", "--set", "protonet.learning_rate=1e-4"]


def run(folder, *flags):
    return run_here(folder.parent, "bench", *FLAGS, "--output", str(folder), *flags)


def losses(folder):
    with next(folder.glob("stages/*/*/metrics.csv")).open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def accuracies(folder):
    """Mean accuracies by score key: the number of processes is not in it."""
    return {path.name: np.load(path)["accuracies"].mean() for path in folder.glob("stages/*/*/scores/*.npz")}


@pytest.mark.parametrize(
    "method", [pytest.param(RFS, id="rfs"), pytest.param(PROTONET, id="protonet", marks=pytest.mark.learn2learn)]
)
def test_two_processes_train_as_one_does(tmp_path, method):
    one, two = run(tmp_path / "one", *method), run(tmp_path / "two", *method, "--devices", "2")
    assert one.returncode == two.returncode == 0, two.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=0.01)
    assert accuracies(tmp_path / "two") == pytest.approx(accuracies(tmp_path / "one"), abs=0.1)


def test_episodes_cannot_be_divided_over_processes(tiny):
    from harness.contract.batches import EpisodicBatches
    from harness.contract.options import TrainingOptions
    from harness.hardware.hardware import choose_hardware
    from harness.training.trainer import Trainer

    trainer = Trainer(tiny.train, tiny.spec, choose_hardware("cpu", "32", 1), seed=0, devices=2)
    with pytest.raises(HarnessError, match="batches of 20 images cannot be divided over 2 processes"):
        trainer.run(None, None, TrainingOptions().recipe(batches=EpisodicBatches(4, 2, 3)))


def test_a_batch_that_does_not_divide_is_a_failed_row(tmp_path):
    result = run(tmp_path, *RFS, "--devices", "2", "--set", "rfs.batch_size=33")
    assert result.returncode == 1
    assert "batches of 33 images cannot be divided over 2 processes" in result.stdout


def test_stages_side_by_side_give_the_bytes_of_one_after_the_other(tmp_path):
    flags = ["--methods", "rfs", "--rows", "rfs/simple", "--seeds", "0-1"]
    alone, together = run(tmp_path / "alone", *flags), run(tmp_path / "together", *flags, "--at-once", "2")
    assert alone.returncode == together.returncode == 0, together.stderr
    weights = {
        path.relative_to(tmp_path / "alone"): path.read_bytes()
        for path in (tmp_path / "alone").glob("stages/*/*/weights.safetensors")
    }
    assert len(weights) == 2
    assert weights == {path: (tmp_path / "together" / path).read_bytes() for path in weights}
    assert accuracies(tmp_path / "together") == accuracies(tmp_path / "alone")


def test_stages_side_by_side_share_the_cores_and_run_at_the_same_time(tmp_path, catalogue):
    """Both are under way before one of them is done; each has its share of the cores as threads."""
    from harness.bench.bench import bench
    from harness.bench.plan import validated
    from harness.cli.arguments import data_root
    from harness.execution.events import JobDone, JobStarted
    from harness.runs import StageFolder

    under_way, most = 0, 0

    def observe(event):
        nonlocal under_way, most
        step = getattr(event, "event", None)
        under_way += isinstance(step, JobStarted) - isinstance(step, JobDone)
        most = max(most, under_way)

    about = {"methods": ["rfs"], "seeds": [0, 1, 2], "rows": ["rfs/simple"]}
    plan = validated({**about, "budget": 320, "episodes": 5, "shots": [1], "queries": 5})
    n_jobs = max(2, n_cores())
    record = bench(plan, catalogue, make_executor("local", catalogue, n_jobs), tmp_path, data_root(None), observe)
    assert most == min(n_jobs, 3)
    for stage in record.tables[0].stages:
        assert StageFolder(tmp_path / stage.folder).trained.conditions["threads"] == str(max(1, n_cores() // n_jobs))


def test_one_stage_that_dies_takes_no_other_with_it(tmp_path):
    result = run(tmp_path, "--methods", "rfs", "--seeds", "0-1", "--at-once", "2", "--set", "rfs.learning_rate=1e30")
    assert result.returncode == 1
    assert result.stdout.count("the loss is not finite") >= 1
    fine = run(tmp_path, *RFS, "--seeds", "0-1", "--at-once", "2")
    assert fine.returncode == 0, fine.stderr


@pytest.mark.parametrize(
    ("name", "at_once", "message"),
    [
        ("local", "two", "--at-once 'two': a number of stages"),
        ("local", "0", "1 or more, or auto"),
        ("inline", "2", "use --executor local"),
        ("ray", "auto", "drop --at-once auto"),
    ],
)
def test_a_wrong_number_of_stages_is_told(catalogue, name, at_once, message):
    with pytest.raises(HarnessError, match=message):
        make_executor(name, catalogue, at_once)


def test_several_processes_a_stage_and_several_stages_are_too_many(catalogue):
    with pytest.raises(HarnessError, match="drop --at-once"):
        make_executor("local", catalogue, "2").check(HardwareRequest("cpu", "32", 1, devices=2))


def test_room_is_what_cores_and_memory_are_enough_for():
    assert room_at_once(HardwareRequest("cpu", threads=10**6)) == 1
    assert room_at_once(HardwareRequest("cpu", threads=1)) == max(1, min(n_cores(), int(free_memory() // STAGE_BYTES)))
    assert room_at_once(HardwareRequest("cpu", devices=2)) == 1


@pytest.mark.parametrize(
    ("at_once", "threads", "shared"), [("1", None, None), ("2", None, n_cores() // 2 or 1), ("2", 3, 3)]
)
def test_what_a_stage_runs_on_is_known_before_it_starts(catalogue, at_once, threads, shared):
    machine, n_jobs = make_executor("local", catalogue, at_once).share(HardwareRequest("cpu", "32", threads))
    assert (machine, n_jobs) == (HardwareRequest("cpu", "32", shared), int(at_once))


def test_an_unknown_executor_is_told(catalogue):
    with pytest.raises(UnknownName, match="Did you mean 'local'"):
        make_executor("locale", catalogue)

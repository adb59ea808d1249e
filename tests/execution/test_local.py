"""harness/execution: jobs in processes of their own, and several processes on one training."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys

import numpy as np
import pytest

from harness.common.errors import HarnessError, UnknownName
from harness.execution.factory import make_executor

FLAGS = shlex.split(
    "--no-floors --budget images=3200 --episodes 50 --queries 5 --device cpu --precision 32 --threads 1"
)
RFS = ["--methods", "rfs", "--set", "rfs.generations=0", "--set", "rfs.learning_rate=0.01"]
PROTONET = ["--methods", "protonet", "--set", "protonet.train_way=8"]


def run(folder, *flags):
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "bench", *FLAGS, "--output", str(folder), *flags],
        text=True,
        capture_output=True,
    )


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


def test_an_unknown_executor_is_told(catalogue):
    with pytest.raises(UnknownName, match="Did you mean 'local'"):
        make_executor("locale", catalogue)

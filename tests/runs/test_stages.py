"""harness/runs: a record that a kill, a second run beside it and a damaged file do not spoil."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from harness.common.errors import RunsError
from harness.contract.heads import Head
from harness.contract.results import StageFailure
from harness.execution.events import JobDone
from harness.runs import StageFolder, find_benches, score_key
from harness.training.events import EpochDone
from tests.helpers.bench import happened, weights
from tests.helpers.reports import trained_record


def test_damaged_weights_are_told_and_not_used(run_bench, tmp_path):
    run_bench()
    path = next((tmp_path / "runs").glob("stages/tiny/rfs-simple*/weights.safetensors"))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    events = []
    run_bench(observe=events.append, classifier="cosine")
    outcome = next(event.outcome for job, event in happened(events, JobDone) if job.stage == "simple")
    assert isinstance(outcome, StageFailure)
    assert "sha256" in outcome.error


KILLED = """
import sys
from pathlib import Path
import conftest
from harness.bench.bench import bench
from harness.training.events import EpochDone
from harness.execution.events import JobEvent
from harness.execution.factory import make_executor
from harness.contract.plan import BenchPlan
from harness.catalogue.catalogue import Catalogue

catalogue = Catalogue.discover()
catalogue.add("tiny-plugin", conftest.TinyPlugin())
plan = BenchPlan(dataset=("tiny",), methods=("rfs",), floors=False, budget=192 * 4, episodes=20, queries=5,
                 device="cpu", precision="32", threads=1)

def observe(event):
    if isinstance(event, JobEvent) and isinstance(event.event, EpochDone):
        print("epoch", event.event.epoch, flush=True)
        sys.stdin.readline()

bench(plan, catalogue, make_executor("inline", catalogue), Path(sys.argv[1]), Path("data"), observe)
"""


def test_killed_between_epochs_it_ends_with_the_same_weights(run_bench, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline().startswith("epoch")
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline().startswith("epoch")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    epochs = []
    run_bench(output=tmp_path / "killed", budget=192 * 4, observe=epochs.append)
    simple = [event.epoch for _, event in happened(epochs, EpochDone)]
    assert simple[0] == 4  # three were on disk
    run_bench(output=tmp_path / "whole", budget=192 * 4)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_two_benches_at_once_train_each_stage_once(run_bench, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "both")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n" * 40)
        process.stdin.close()
        process.stdin = None
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(output.count("epoch") for output in outputs) == 8  # four epochs a stage, two stages
    assert len(weights(tmp_path / "both")) == 2


@pytest.mark.parametrize("name", ["trained.json", "scores/*.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04"])
def test_a_record_that_is_cut_off_is_told_in_one_line(run_bench, tmp_path, name, content):
    run_bench()
    path = next((tmp_path / "runs").glob(f"stages/tiny/rfs-simple*/{name}"))
    path.write_bytes(content)
    with pytest.raises(RunsError, match=f"{path}.*Delete it") as error:
        run_bench()
    assert "\n" not in str(error.value)
    path.unlink()
    assert all(stage.failure is None for stage in run_bench().tables[0].stages)


def test_an_array_whose_header_is_no_arrays_is_told_in_one_line(run_bench, tmp_path):
    """Its checksum fits, its shape does not: the number of values would be guessed."""
    run_bench()
    path = next((tmp_path / "runs").glob("stages/tiny/rfs-simple*/scores/*.npz"))
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    content = members["accuracies.npy"]
    shape = re.search(rb"\(\d+,\), } +", content)[0]
    members["accuracies.npy"] = content.replace(shape, b"(-1,), }".ljust(len(shape)), 1)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(RunsError, match=r"the shape \(-1,\).*Delete it"):
        run_bench()


@pytest.mark.parametrize("content", ["{}", "[]", "{", "3"])
def test_a_damaged_bench_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "benches" / "abc.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(RunsError, match=f"{path} is damaged.*Delete it"):
        find_benches(tmp_path)


def test_what_a_killed_or_failed_run_left_is_cleared(run_bench, tmp_path):
    run_bench()
    folder = next((tmp_path / "runs").glob("stages/tiny/rfs-simple*"))
    StageFolder(folder).save_failure("out of memory")
    (folder / ".checkpoint-1.pt.123.tmp").write_bytes(b"half")
    (folder / "scores" / ".abc.npz.123.tmp").write_bytes(b"half")
    run_bench(classifier="cosine")  # trains nothing, but scores
    assert not (folder / "failure.txt").exists()
    assert not list(folder.glob("**/.*.tmp"))


def test_weights_that_share_memory_are_kept(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    network[1].weight = network[0].weight
    folder = StageFolder(tmp_path / "stage")
    folder.save_trained(network, trained_record(n_classes=3))
    other = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    folder.load_weights(other)
    assert torch.equal(other[1].weight, network[0].weight)


def test_a_score_is_of_one_version_of_its_classifier(tiny):
    from harness.contract.episodes import EpisodeSpec
    from harness.episodes.sampler import sample_episodes

    episodes = sample_episodes(tiny.test, EpisodeSpec(2, 1, 1), 2, seed=0)
    keys = {score_key("stage", episodes, Head("cosine"), 0, versions) for versions in ((), (1,), (2,), (1, 1, 2))}
    assert len(keys) == 4


def test_waiting_for_a_lock_is_told(tmp_path):
    from harness.runs import StageFolder

    folder = StageFolder(tmp_path / "stage")
    told = []
    with folder.lock():
        import threading

        def second():
            with StageFolder(tmp_path / "stage").lock(lambda: told.append("waiting")):
                told.append("in")

        thread = threading.Thread(target=second)
        thread.start()
        for _ in range(500):
            if told:
                break
            time.sleep(0.01)
        assert told == ["waiting"]
    thread.join()
    assert told == ["waiting", "in"]


def test_losses_may_have_any_name(tmp_path):
    history = [{"loss": 1.5, 'a,b "c"': 0.25}, {"loss": 1.0}]
    folder = StageFolder(tmp_path)
    folder.save_metrics(history)
    assert folder.metrics == history

"""harness/execution/ray.py: the same bench on a Ray cluster, which these tests start on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from tests.helpers.bench import weights
from tests.helpers.command import run_alone, run_here

ray = pytest.importorskip("ray", reason="needs fsl-harness[ray]")

FLAGS = shlex.split(
    "--methods rfs,skd --no-floors --budget images=1280 --episodes 20 --queries 5 "
    "--shots 1 --device cpu --precision 32 --threads 1"
)


def run(folder, *flags, **environment):
    """A bench in a process of its own: none of these tests leaves its cluster to another."""
    return run_alone(folder, "bench", *FLAGS, "--output", "runs", *flags, **{"RAY_ADDRESS": "", **environment})


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A bench without Ray, and the same in another folder with it."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("local", "ray")}
    return folders, {
        "local": run_here(folders["local"], "bench", *FLAGS, "--output", "runs"),
        "ray": run(folders["ray"], "--executor", "ray", RAY_OVERRIDE_RESOURCES='{"CPU": 1}'),
    }


def test_ray_gives_the_same_weights_and_accuracies(benched):
    folders, results = benched
    assert results["ray"].returncode == 0, results["ray"].stderr
    assert weights(folders["ray"] / "runs") == weights(folders["local"] / "runs")
    assert len(weights(folders["ray"] / "runs")) == 4
    accuracies = [
        [line.split("|")[4] for line in results[name].stdout.splitlines() if line.startswith(("| rfs", "| skd"))]
        for name in ("local", "ray")
    ]
    assert accuracies[0] == accuracies[1]


def test_one_cpu_has_one_job_at_a_time(benched):
    """A Ray task that waits for something gives its CPU away meanwhile; ours must not."""
    folders, _ = benched
    stages = folders["ray"].glob("runs/stages/*/*")
    files = ("identity.json", "trained.json")  # written before and after its training
    spans = sorted(tuple((stage / file).stat().st_mtime for file in files) for stage in stages)
    assert len(spans) == 4
    for (_, end), (start, _) in pairwise(spans):
        assert start > end


def test_what_is_done_is_not_done_again_without_ray(benched):
    folders, _ = benched
    before = {path: path.stat().st_mtime_ns for path in folders["ray"].glob("runs/stages/*/*/*")}
    assert run_here(folders["ray"], "bench", *FLAGS, "--output", "runs").returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in folders["ray"].glob("runs/stages/*/*/*")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--threads", "1000"), "a job needs 1000 CPU(s) on one node, and no node of the cluster has more than"),
        (("--device", "cuda:1"), "--executor ray chooses among GPUs itself: --device cuda, not cuda:1"),
        (("--device", "gpu"), "unknown device 'gpu'"),
    ],
)
def test_a_machine_that_no_node_is_is_one_line(tmp_path, flags, message):
    result = run(tmp_path, "--executor", "ray", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith("harness: ")
    assert message in result.stderr


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    result = run(tmp_path, "--executor", "ray", RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("harness: no Ray cluster at RAY_ADDRESS='127.0.0.1:1'")


def test_a_job_whose_node_dies_goes_on_elsewhere(tmp_path):
    """Two nodes of one CPU on this machine; one ends while each trains a seed."""
    from ray.cluster_utils import Cluster

    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(num_cpus=1)
        flags = ["--methods", "rfs", "--set", "rfs.generations=0", "--seeds", "0,1", "--budget", "images=7680"]
        command = [sys.executable, "-m", "harness.cli.main", "bench", *FLAGS, *flags, "--executor", "ray"]
        with subprocess.Popen(
            [*command, "--output", "runs"],
            text=True,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RAY_ADDRESS": cluster.address},
        ) as bench:
            while bench.poll() is None and len(list(tmp_path.glob("runs/stages/*/*/identity.json"))) < 2:
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)
            output, messages = bench.communicate()
    finally:
        cluster.shutdown()
    assert bench.returncode == 0, messages
    assert messages.count("its node died; it goes on elsewhere") == 1
    assert len(weights(tmp_path / "runs")) == 2
    assert "| rfs " in output

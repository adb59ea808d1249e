"""harness/execution/ray.py: the same bench on a Ray cluster, which these tests start on this machine."""

from __future__ import annotations

import os
import shlex
import threading
import time
from itertools import pairwise

import pytest

from tests.helpers.bench import weights
from tests.helpers.command import run_here
from tests.helpers.plugins import install_method

ray = pytest.importorskip("ray", reason="needs fsl-harness[ray]")

FLAGS = shlex.split(
    "--no-floors --budget images=640 --episodes 6 --queries 3 --shots 1 --device cpu --precision 32 --threads 1 "
    "--output runs"
)
TRAINED = [*FLAGS, "--methods", "rfs,skd", "--rows", "rfs/simple,rfs/distill-1,skd/gen0"]
ONE_CPU = '{"CPU": 1}'


def run(folder, *flags, **environment):
    """A bench with Ray; without RAY_ADDRESS it starts a cluster of its own, and ends it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_ADDRESS": "", **environment}.items():
            patch.setenv(name, value)
        return run_here(folder, "bench", *flags, "--executor", "ray")


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    """A bench without Ray, and the same in another folder with it."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("local", "ray")}
    return folders, {
        "local": run_here(folders["local"], "bench", *TRAINED),
        "ray": run(folders["ray"], *TRAINED, RAY_OVERRIDE_RESOURCES=ONE_CPU),
    }


def test_ray_gives_the_same_weights_and_accuracies(benched):
    folders, results = benched
    assert results["ray"].returncode == 0, results["ray"].stderr
    assert weights(folders["ray"] / "runs") == weights(folders["local"] / "runs")
    assert len(weights(folders["ray"] / "runs")) == 3
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
    assert len(spans) == 3
    for (_, end), (start, _) in pairwise(spans):
        assert start > end


def test_what_is_done_is_not_done_again_without_ray(benched):
    folders, _ = benched
    before = {path: path.stat().st_mtime_ns for path in folders["ray"].glob("runs/stages/*/*/*")}
    assert run_here(folders["ray"], "bench", *TRAINED).returncode == 0
    assert before == {path: path.stat().st_mtime_ns for path in folders["ray"].glob("runs/stages/*/*/*")}


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    result = run(tmp_path, *FLAGS, "--methods", "rfs", RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("harness: no Ray cluster at RAY_ADDRESS='127.0.0.1:1'")


# ── on a cluster that is there ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """A cluster of two nodes of one CPU each, the second of them, and a file until which the method crash waits."""
    from ray.cluster_utils import Cluster

    folder = tmp_path_factory.mktemp("nodes")
    install_method(folder / "site", f"while not os.path.exists({str(folder / 'go')!r}): time.sleep(0.05)")
    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": soon}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "site"), prepend=os.pathsep)  # for the nodes
        patch.syspath_prepend(folder / "site")
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster, cluster.add_node(num_cpus=1), folder / "go"
        finally:
            cluster.shutdown()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--threads", "1000"), "a job needs 1000 CPU(s) on one node, and no node of the cluster has more than"),
        (("--device", "cuda:1"), "--executor ray chooses among GPUs itself: --device cuda, not cuda:1"),
        (("--device", "gpu"), "unknown device 'gpu'"),
    ],
)
def test_a_machine_that_no_node_is_is_one_line(two_nodes, tmp_path, flags, message):
    result = run(tmp_path, *FLAGS, "--methods", "rfs", *flags, RAY_ADDRESS=two_nodes[0].address)
    assert result.returncode == 2
    assert result.stderr.startswith("harness: ")
    assert message in result.stderr


def test_a_job_whose_node_dies_goes_on_elsewhere(two_nodes, tmp_path):
    """The second node ends while each trains a seed. It comes last, for it breaks the cluster."""
    cluster, second, go = two_nodes

    def end_second_node():
        while len(list(tmp_path.glob("runs/stages/*/*/identity.json"))) < 2:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        go.touch()

    ending = threading.Thread(target=end_second_node, daemon=True)
    ending.start()
    result = run(tmp_path, *FLAGS, "--methods", "crash", "--seeds", "0,1", RAY_ADDRESS=cluster.address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr.count("its node died; it goes on elsewhere") == 1
    assert len(weights(tmp_path / "runs")) == 2
    assert "| crash " in result.stdout

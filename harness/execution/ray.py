"""Jobs on a Ray cluster, as many at a time as it has room for; on this machine alone where no cluster is named.

The run folder and the prepared data must lie where all nodes see them, and the harness and its plugins be installed on
all. A Ray task asks for a job's threads and GPUs and then works as the local executor does, in processes of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError, one_line
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import JobStarted, Note
from harness.hardware.hardware import check_names

if TYPE_CHECKING:
    from harness.execution.executor import Emit, Ready
    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest

POLL_SECONDS = 0.2
CONNECT_SECONDS = 10
MOST_DEATHS = 3  # of nodes under one job; then it is the job that kills them
SHARED = "the run folder must lie where all nodes see it"


class RayExecutor:
    """Runs jobs on the cluster of ``RAY_ADDRESS``, else on one that it starts on this machine and ends when closed.

    Args:
        at_once: how many stages share a GPU.
    Raises:
        HarnessError: Ray is not installed, or there is no cluster at ``RAY_ADDRESS``.
    """

    def __init__(self, at_once: int = 1) -> None:
        self._a_gpu = at_once
        if importlib.util.find_spec("ray") is None:
            raise HarnessError("--executor ray needs Ray: pip install 'fsl-harness[ray]'")
        address = os.environ.get("RAY_ADDRESS") or "local"  # left to itself, Ray would join another bench's cluster
        _check_reachable(address)
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # a task without a GPU sees none
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.util.queue import Queue

        try:
            ray.init(address, log_to_driver=False, logging_level="error", include_dashboard=False)
        except Exception as error:
            raise HarnessError(f"Ray did not start: {one_line(error)}") from None
        self._ray = ray
        self._events = Queue(actor_options={"num_cpus": 0, "max_restarts": -1})  # what is lost with it is progress

    def check(self, machine: HardwareRequest) -> None:
        check_names(machine.device, machine.precision)
        if ":" in machine.device:
            raise HarnessError(f"--executor ray chooses among GPUs itself: --device cuda, not {machine.device}")
        if reason := self._explain_no_room(machine):
            raise HarnessError(reason)

    def _explain_no_room(self, machine: HardwareRequest) -> str:
        """Why no node of the cluster can ever take a job; empty where one can."""
        for what, count in self._needs(machine).items():
            most = max((node["Resources"].get(what, 0) for node in self._ray.nodes() if node["Alive"]), default=0)
            if count > most:
                return (
                    f"a job needs {count:g} {what}(s) on one node, and no node of the cluster has more than {most:.0f}"
                )
        return ""

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        try:
            yield from self._run(ready, emit)
        except self._ray.exceptions.RayError as error:
            raise HarnessError(
                f"Ray gave up: {one_line(error)}. What is done is kept: run the same command again"
            ) from None

    def _run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        running: dict[Any, StageJob] = {}
        deaths: Counter[str] = Counter()  # key → nodes that died under the job
        while True:
            while (job := ready()) is not None:
                running[self._submit(job)] = job
            if not running:
                return
            done, _ = self._ray.wait(list(running), timeout=POLL_SECONDS)
            jobs = {job.key: job for job in running.values()}
            for key, event in self._new_events():
                if key in jobs:  # not one that a dead node sent before its job was given up
                    emit(jobs[key], event)
            for task in done:
                job = running.pop(task)
                outcome = self._outcome(job, task)
                if outcome is None:
                    deaths[job.key] += 1
                    outcome = self._give_up_after_deaths(job, deaths[job.key])
                if outcome is None:
                    emit(job, Note(f"{job.name} seed {job.seed}: its node died; it goes on elsewhere"))
                    running[self._submit(job)] = job
                else:
                    yield job, outcome

    def _new_events(self) -> list[Any]:
        try:
            return list(self._events.get_nowait_batch(self._events.size()))
        except (
            self._ray.exceptions.RayActorError
        ):  # Ray ends processes where memory runs out, and starts this one again
            return []

    def share(self, machine: HardwareRequest) -> None:
        """Nodes differ, and how many are free is another matter by the time a job is ready."""

    def close(self) -> None:
        """End the tasks that still run; leave the cluster."""
        self._ray.shutdown()

    def _needs(self, machine: HardwareRequest) -> dict[str, float]:
        """What a job takes of a node. A thread a job, unless more are asked for, so that a processor runs many jobs."""
        on_gpu = machine.device == "cuda" or (machine.device == "auto" and "GPU" in self._ray.cluster_resources())
        gpus = machine.devices if machine.devices > 1 else 1 / self._a_gpu
        return {"CPU": machine.threads or 1, "GPU": gpus if on_gpu else 0}

    def _submit(self, job: StageJob) -> Any:
        needs = self._needs(job.machine)
        there = replace(job, machine=replace(job.machine, threads=int(needs["CPU"])))
        task = self._ray.remote(max_calls=1, max_retries=0)(_work)
        task = task.options(name=job.name, num_cpus=needs["CPU"], num_gpus=needs["GPU"])
        return task.remote(there, os.getcwd(), self._events)

    def _give_up_after_deaths(self, job: StageJob, deaths: int) -> StageFailure | None:
        """Why a job whose node died is not begun again; None where it is."""
        reason = f"{deaths} nodes died under it" if deaths >= MOST_DEATHS else self._explain_no_room(job.machine)
        return StageFailure(job.key, f"its node died: {reason}. The same command goes on with it") if reason else None

    def _outcome(self, job: StageJob, task: Any) -> StageResult | StageFailure | None:
        """What became of a job; None: its node died."""
        try:
            node, outcome = self._ray.get(task)
        except self._ray.exceptions.NodeDiedError:
            return None
        except self._ray.exceptions.RayError as error:
            return StageFailure(job.key, one_line(error))
        if isinstance(outcome, StageResult) and not job.folder.exists():
            return StageFailure(job.key, f"node {node} wrote {job.folder}, which is not here: {SHARED}")
        return outcome


def _check_reachable(address: str) -> None:
    """Raise HarnessError where nothing answers at HOST:PORT. Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise HarnessError(f"no Ray cluster at RAY_ADDRESS={address!r}: {error.strerror or error}") from None


def _work(job: StageJob, folder: str, events: Any) -> tuple[str, StageResult | StageFailure]:
    """Run by Ray, on some node: its name, and what became of the job. Paths are relative to ``folder``."""
    import ray

    from harness.execution.local import LocalExecutor

    last: Any = None

    def emit(event: Any) -> None:
        nonlocal last
        last = events.actor.put_nowait.remote((job.key, event))  # events.put would wait, and so give this CPU away

    node = socket.gethostname()
    try:
        os.chdir(folder)
    except OSError:
        return node, StageFailure(job.key, f"node {node} does not see {folder}: {SHARED}")
    emit(JobStarted())
    outcome = LocalExecutor().run_one(job, emit)
    with contextlib.suppress(ray.exceptions.RayActorError):
        ray.get(last)  # they arrive in order
    return node, outcome

"""MLflow: a run a stage, in files of the run folder unless ``MLFLOW_TRACKING_URI`` says where."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import harness
from harness_trackers.stages import StageName, curve, final_numbers, texts

# Before the import, which reads it: nothing is sent anywhere that was not asked for.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Files need no database. The library keeps them for those who ask.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

EXPERIMENT = "harness"
KEY = "harness.key"
LONGEST = 500  # letters of a parameter that every version of MLflow takes


class Tracker:
    """Keeps the stages as runs of the experiment ``harness``."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        folder = (bench.output / "trackers" / "mlflow").absolute()
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or folder.as_uri())
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)
        self._runs: dict[StageName, str] = {}

    @harness.hookimpl
    def harness_stage_started(
        self, label: str, stage: str, seed: int, dataset: str, key: str, settings: Mapping[str, Any]
    ) -> None:
        name = StageName(dataset, label, stage, seed)
        before = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
        if before:  # it goes on where it was interrupted
            self._runs[name] = before[0].info.run_id
            self._client.update_run(self._runs[name], "RUNNING")
            return
        tags = {"mlflow.runName": str(name), KEY: key, "dataset": dataset, "stage": stage, "seed": str(seed)}
        self._runs[name] = run = self._client.create_run(self._experiment, tags=tags).info.run_id
        self._client.log_batch(run, params=[Param(k, v[:LONGEST]) for k, v in texts(settings).items()])

    @harness.hookimpl
    def harness_epoch_done(
        self, label: str, stage: str, seed: int, dataset: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        run = self._runs.get(StageName(dataset, label, stage, seed))
        if run is not None:
            self._log(run, [(curve(name), value) for name, value in metrics.items()], step)

    @harness.hookimpl
    def harness_stage_done(
        self,
        label: str,
        stage: str,
        seed: int,
        dataset: str,
        result: harness.StageResult | harness.StageFailure,
    ) -> None:
        run = self._runs.pop(StageName(dataset, label, stage, seed), None)
        if run is None:
            return
        if isinstance(result, harness.StageFailure):
            self._client.set_tag(run, "failure", result.error[:LONGEST])
            self._client.set_terminated(run, "FAILED")
        else:
            self._log(run, final_numbers(result), 0)
            self._client.set_terminated(run, "FINISHED")

    def close(self) -> None:
        for run in self._runs.values():
            self._client.set_terminated(run, "KILLED")

    def _log(self, run: str, numbers: Iterable[tuple[str, float]], step: int) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(run, metrics=[Metric(name, value, now, step) for name, value in numbers])

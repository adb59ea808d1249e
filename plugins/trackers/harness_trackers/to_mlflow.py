"""MLflow: a run a stage, in files of the run folder unless ``MLFLOW_TRACKING_URI`` says where."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import harness
from harness_trackers.runs import StageRuns
from harness_trackers.stages import StageName, final_numbers, texts

# Before the import, which reads it: nothing is sent anywhere that was not asked for.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Files need no database. The library keeps them for those who ask.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

EXPERIMENT = "harness"
KEY = "harness.key"
LONGEST = 500  # letters of a parameter that every version of MLflow takes


class Tracker(StageRuns[str]):
    """Keeps the stages as runs of the experiment ``harness``."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        super().__init__()
        folder = (bench.output / "trackers" / "mlflow").absolute()
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or folder.as_uri())
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)

    def begin(self, name: StageName, key: str, settings: Mapping[str, Any]) -> str:
        before = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
        if before:  # it goes on where it was interrupted
            run: str = before[0].info.run_id
            self._client.update_run(run, "RUNNING")
            return run
        tags = {
            "mlflow.runName": str(name),
            KEY: key,
            "dataset": name.dataset,
            "stage": name.stage,
            "seed": str(name.seed),
        }
        run = self._client.create_run(self._experiment, tags=tags).info.run_id
        self._client.log_batch(run, params=[Param(k, v[:LONGEST]) for k, v in texts(settings).items()])
        return run

    def log(self, run: str, curves: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(run, metrics=[Metric(name, value, now, step) for name, value in curves.items()])

    def end(self, run: str, result: harness.StageResult | harness.StageFailure) -> None:
        if isinstance(result, harness.StageFailure):
            self._client.set_tag(run, "failure", result.error[:LONGEST])
            self._client.set_terminated(run, "FAILED")
        else:
            self.log(run, dict(final_numbers(result)), 0)
            self._client.set_terminated(run, "FINISHED")

    def leave(self, run: str) -> None:
        self._client.set_terminated(run, "KILLED")

"""Trackers: what ``--track`` switches on, so that a tool shows the curves of a bench while it runs.

Each keeps its files in the run folder, under ``trackers/``, and uses no network unless its own settings name a server.
A stage of the bench is a run of the tool. A stage that was kept from before has none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import harness

TITLES = {
    "tensorboard": "curves and an episode's images, for tensorboard --logdir RUN/trackers/tensorboard",
    "mlflow": "runs of MLflow, in RUN/trackers/mlflow or at $MLFLOW_TRACKING_URI",
    "trackio": "runs of Trackio, in RUN/trackers/trackio",
}
PACKAGES = {"mlflow": "mlflow-skinny"}  # that bring a module of another name


@harness.hookimpl
def harness_trackers() -> Iterable[harness.TrackerSpec]:
    return [harness.TrackerSpec(name, title, _starting(name)) for name, title in TITLES.items()]


def _starting(name: str) -> Callable[[harness.TrackedBench], Any]:
    def start(bench: harness.TrackedBench) -> Any:
        if find_spec(name) is None:
            package = PACKAGES.get(name, name)
            raise harness.HarnessError(f"{package} is not installed: pip install 'harness-trackers[{name}]'")
        module = importlib.import_module(f"harness_trackers.to_{name}")
        return module.Tracker(bench)

    return start

"""Trackio: a run a stage, in files of the run folder."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
from harness_trackers.stages import StageName, curve, final_numbers, texts

PROJECT = "harness"


class Tracker:
    """Keeps the stages as runs of the project ``harness``; nothing is sent to a Space or a server."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        folder = (bench.output / "trackers" / "trackio").absolute()
        os.environ.setdefault("TRACKIO_DIR", str(folder))  # before the import, which reads it
        import trackio

        if Path(trackio.TRACKIO_DIR) != Path(os.environ["TRACKIO_DIR"]):
            raise harness.HarnessError(f"trackio was imported before, for {trackio.TRACKIO_DIR}")
        self._runs: dict[StageName, trackio.Run] = {}
        self._make = trackio.Run

    @harness.hookimpl
    def harness_stage_started(
        self, label: str, stage: str, seed: int, dataset: str, key: str, settings: Mapping[str, Any]
    ) -> None:
        name = StageName(dataset, label, stage, seed)
        # Of the same key, so that a training that is taken up again goes on in its run.
        self._runs[name] = self._make(
            url=None, project=PROJECT, client=None, name=str(name), run_id=key[:32], config=texts(settings)
        )

    @harness.hookimpl
    def harness_epoch_done(
        self, label: str, stage: str, seed: int, dataset: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        run = self._runs.get(StageName(dataset, label, stage, seed))
        if run is not None:
            run.log({curve(name): value for name, value in metrics.items()}, step=step)

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
        if not isinstance(result, harness.StageFailure):
            run.log(dict(final_numbers(result)))
        _finish(run)

    def close(self) -> None:
        for run in self._runs.values():
            _finish(run)


def _finish(run: Any) -> None:
    """End a run without its word that it is uploaded, for it is not."""
    with contextlib.redirect_stdout(io.StringIO()):
        run.finish()

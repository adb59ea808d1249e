"""Trackio: a run a stage, in files of the run folder."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
from harness_trackers.runs import StageRuns
from harness_trackers.stages import StageName, final_numbers, texts

PROJECT = "harness"


class Tracker(StageRuns[Any]):
    """Keeps the stages as runs of the project ``harness``; nothing is sent to a Space or a server."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        super().__init__()
        folder = (bench.output / "trackers" / "trackio").absolute()
        os.environ.setdefault("TRACKIO_DIR", str(folder))  # before the import, which reads it
        import trackio

        if Path(trackio.TRACKIO_DIR) != Path(os.environ["TRACKIO_DIR"]):
            raise harness.HarnessError(f"trackio was imported before, for {trackio.TRACKIO_DIR}")
        self._make = trackio.Run

    def begin(self, name: StageName, key: str, settings: Mapping[str, Any]) -> Any:
        return self._make(
            url=None, project=PROJECT, client=None, name=str(name), run_id=key[:32], config=texts(settings)
        )

    def log(self, run: Any, curves: Mapping[str, float], step: int) -> None:
        run.log(dict(curves), step=step)

    def end(self, run: Any, result: harness.StageResult | harness.StageFailure) -> None:
        if not isinstance(result, harness.StageFailure):
            run.log(dict(final_numbers(result)))
        self.leave(run)

    def leave(self, run: Any) -> None:
        """End a run without its word that it is uploaded, for it is not."""
        with contextlib.redirect_stdout(io.StringIO()):
            run.finish()

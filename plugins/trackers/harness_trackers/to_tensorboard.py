"""TensorBoard: a folder a stage with its curves, and one with an episode of each dataset as an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard import SummaryWriter

import harness
from harness_trackers.grid import episode_grid
from harness_trackers.runs import StageRuns
from harness_trackers.stages import StageName, final_numbers


class Tracker(StageRuns[SummaryWriter]):
    """Writes event files under ``trackers/tensorboard``."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        super().__init__()
        self._folder = bench.output / "trackers" / "tensorboard"
        if bench.tables:
            with SummaryWriter(str(self._folder / "episodes")) as writer:
                for table in bench.tables:
                    writer.add_image(f"episode/{table.dataset}", episode_grid(table), 0, dataformats="HWC")

    def begin(self, name: StageName, key: str, settings: Mapping[str, Any]) -> SummaryWriter:
        writer = SummaryWriter(str(self._folder.joinpath(*name.folder(key))))
        lines = json.dumps({**settings}, indent=2, default=str).splitlines()
        writer.add_text("settings", "\n".join(f"    {line}" for line in lines), 0)  # as it is, no markdown
        return writer

    def log(self, run: SummaryWriter, curves: Mapping[str, float], step: int) -> None:
        for name, value in curves.items():
            run.add_scalar(name, value, step)
        run.flush()

    def end(self, run: SummaryWriter, result: harness.StageResult | harness.StageFailure) -> None:
        with run:
            if isinstance(result, harness.StageFailure):
                run.add_text("failure", f"    {result.error}", 0)
            else:
                self.log(run, dict(final_numbers(result)), 0)

    def leave(self, run: SummaryWriter) -> None:
        run.close()

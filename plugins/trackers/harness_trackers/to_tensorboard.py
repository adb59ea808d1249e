"""TensorBoard: a folder a stage with its curves, and one with an episode of each dataset as an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch.utils.tensorboard import SummaryWriter

import harness
from harness_trackers.grid import episode_grid
from harness_trackers.stages import StageName, curve, final_numbers


class Tracker:
    """Writes event files under ``trackers/tensorboard``."""

    def __init__(self, bench: harness.TrackedBench) -> None:
        self._folder = bench.output / "trackers" / "tensorboard"
        self._writers: dict[StageName, SummaryWriter] = {}
        if bench.tables:
            with SummaryWriter(str(self._folder / "episodes")) as writer:
                for table in bench.tables:
                    writer.add_image(f"episode/{table.dataset}", episode_grid(table), 0, dataformats="HWC")

    @harness.hookimpl
    def harness_stage_started(
        self, label: str, stage: str, seed: int, dataset: str, key: str, settings: Mapping[str, Any]
    ) -> None:
        name = StageName(dataset, label, stage, seed)
        writer = self._writers[name] = SummaryWriter(str(self._folder.joinpath(*name.folder(key))))
        lines = json.dumps({**settings}, indent=2, default=str).splitlines()
        writer.add_text("settings", "\n".join(f"    {line}" for line in lines), 0)  # as it is, no markdown

    @harness.hookimpl
    def harness_epoch_done(
        self, label: str, stage: str, seed: int, dataset: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        writer = self._writers.get(StageName(dataset, label, stage, seed))
        if writer is not None:
            for metric, value in metrics.items():
                writer.add_scalar(curve(metric), value, step)
            writer.flush()

    @harness.hookimpl
    def harness_stage_done(
        self,
        label: str,
        stage: str,
        seed: int,
        dataset: str,
        result: harness.StageResult | harness.StageFailure,
    ) -> None:
        writer = self._writers.pop(StageName(dataset, label, stage, seed), None)
        if writer is None:
            return
        with writer:
            if isinstance(result, harness.StageFailure):
                writer.add_text("failure", f"    {result.error}", 0)
            else:
                for name, value in final_numbers(result):
                    writer.add_scalar(name, value, 0)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

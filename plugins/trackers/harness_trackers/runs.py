"""What every tracker does: a run of its tool for each stage that is under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import harness
from harness_trackers.stages import StageName, curve

Run = TypeVar("Run")


class StageRuns(ABC, Generic[Run]):
    """The hooks that notify, as what happens to a run of the tool."""

    def __init__(self) -> None:
        self._runs: dict[StageName, Run] = {}

    @abstractmethod
    def begin(self, name: StageName, key: str, settings: Mapping[str, Any]) -> Run:
        """The run of a stage; of the same ``key`` as before where its training is taken up again."""

    @abstractmethod
    def log(self, run: Run, curves: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""

    @abstractmethod
    def end(self, run: Run, result: harness.StageResult | harness.StageFailure) -> None:
        """The stage is scored, or has failed."""

    @abstractmethod
    def leave(self, run: Run) -> None:
        """The bench ended before the stage did."""

    @harness.hookimpl
    def harness_stage_started(
        self, label: str, stage: str, seed: int, dataset: str, key: str, settings: Mapping[str, Any]
    ) -> None:
        name = StageName(dataset, label, stage, seed)
        self._runs[name] = self.begin(name, key, settings)

    @harness.hookimpl
    def harness_epoch_done(
        self, label: str, stage: str, seed: int, dataset: str, step: int, metrics: Mapping[str, float]
    ) -> None:
        run = self._runs.get(StageName(dataset, label, stage, seed))
        if run is not None:
            self.log(run, {curve(name): value for name, value in metrics.items()}, step)

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
        if run is not None:
            self.end(run, result)

    def close(self) -> None:
        for run in self._runs.values():
            self.leave(run)

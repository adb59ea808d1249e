"""Jobs in this very process: for debuggers, and for plugins that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from harness.common.errors import HarnessError
from harness.execution.events import JobStarted
from harness.execution.work import run_job

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.results import StageFailure, StageResult
    from harness.execution.executor import Emit, Ready
    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest


class InlineExecutor:
    """Runs each job where it is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, machine: HardwareRequest) -> None:
        if machine.devices > 1:
            raise HarnessError("--executor inline is one process: with --devices above 1 use --executor local")
        machine.check()

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        while (job := ready()) is not None:
            emit(job, JobStarted())
            yield job, run_job(job, self._catalogue, partial(emit, job))

    def share(self, machine: HardwareRequest) -> tuple[HardwareRequest, int]:
        return machine, 1

    def close(self) -> None:
        """Nothing is held."""

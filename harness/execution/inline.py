"""Jobs in this very process: for debuggers, and for plugins that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.events import JobStarted
from harness.execution import Emit, Ready
from harness.execution.work import run_job
from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from harness.execution.job import Machine, StageJob
    from harness.plugins import Catalogue


class InlineExecutor:
    """Runs each job where it is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, machine: Machine) -> None:
        if machine.devices > 1:
            raise HarnessError("--executor inline is one process: with --devices above 1 use --executor local")
        machine.check()

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        while (job := ready()) is not None:
            emit(job, JobStarted())
            yield job, run_job(job, self._catalogue, partial(emit, job))

    def close(self) -> None:
        """Nothing is held."""

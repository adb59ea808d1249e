"""Jobs in this very process: for debuggers, and for plugins that are not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.execution.work import run_job
from harness.types import StageFailure, StageResult

if TYPE_CHECKING:
    from harness.execution.job import StageJob
    from harness.plugins import Catalogue


class InlineExecutor:
    """Runs each job where it is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def run(self, job: StageJob, emit: Callable[[Any], None]) -> StageResult | StageFailure:
        if job.machine.devices > 1:
            raise HarnessError("--executor inline is one process: with --devices above 1 use --executor local")
        return run_job(job, self._catalogue, emit)

    def close(self) -> None:
        """Nothing is held."""

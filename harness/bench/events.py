"""What a bench has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.execution.job import StageJob

if TYPE_CHECKING:
    from harness.execution.job import StageJob


Observe = Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class BenchStarted:
    """All that is to be done, in order."""

    jobs: Sequence[StageJob]

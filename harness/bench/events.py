"""What a bench has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.bench.table import BenchTable
    from harness.execution.job import StageJob


Observe = Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class BenchStarted:
    """All that is to be done, in order, and the tables it is for."""

    jobs: Sequence[StageJob]
    tables: Sequence[BenchTable] = ()

"""Rows of other people's benches beside a bench: refused before anything is trained, and named as its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.bench.events import BenchStarted, Observe
from harness.bench.table import episodes_record
from harness.reports.foreign import ForeignRow, TableEpisodes, refuse_strangers

if TYPE_CHECKING:
    from harness.bench.table import BenchTable
    from harness.contract.plan import BenchPlan


def refusing_strangers(against: Sequence[ForeignRow], observe: Observe) -> Observe:
    """``observe``, before which a bench ends that starts on other episodes than these rows met.

    It raises RunsError then.
    """

    def observe_start(event: Any) -> None:
        if isinstance(event, BenchStarted):
            refuse_strangers(against, list(map(_episodes, event.tables)))
        observe(event)

    return observe_start


def _episodes(table: BenchTable) -> TableEpisodes:
    source = table.source
    return TableEpisodes.of(source.dataset, source.test_dataset, source.score_on, map(episodes_record, table.episodes))


def without_foreign_baseline(plan: BenchPlan, against: Sequence[ForeignRow]) -> BenchPlan:
    """The plan as it is recorded: without a baseline that is none of its own rows."""
    if plan.baseline not in {row.name for row in against}:
        return plan
    return plan.model_copy(update={"baseline": None, "equivalent": None})

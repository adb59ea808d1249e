"""The stages of a bench's table, gathered over seeds: what becomes a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.reports.model import History, Measured, Setting
from harness.runs import StageFolder

if TYPE_CHECKING:
    from harness.contract.results import Score, StageResult
    from harness.runs.records import StageRecord, TableRecord


@dataclass(frozen=True)
class StageGroup:
    """The records of one stage, a seed each, with their results."""

    records: list[StageRecord]
    results: list[StageResult]
    histories: list[History]

    @property
    def shown(self) -> bool:
        """Whether it has a row; else it is there because another stage is trained from it."""
        return self.records[0].shown

    @property
    def identity(self) -> Hashable:
        """What its numbers come from: equal for one stage under two labels of a sweep."""
        return tuple((record.key, record.scores) for record in self.records)

    @cached_property
    def measured(self) -> dict[Setting, Measured]:
        return measured(self.results)


def group_stages(output: Path, table: TableRecord) -> dict[str, StageGroup]:
    """The stages of a bench's table by the name of their row, with their results.

    Raises:
        RunsError: a stage that the record names is no longer whole.
    """
    groups: dict[str, StageGroup] = {}
    for record in table.stages:
        group = groups.setdefault(record.row, StageGroup([], [], []))
        group.records.append(record)
        if record.failure is None:
            folder = StageFolder(output / record.folder)
            result = folder.result(record.key, record.scores)
            if result is None:
                raise RunsError(f"{output / record.folder} is not whole. Run the bench again")
            group.results.append(result)
            if history := folder.metrics:
                group.histories.append(history)
    return groups


def measured(results: Sequence[StageResult]) -> dict[Setting, Measured]:
    """What was measured in each setting and on each kind of episode, over seeds."""
    by_setting: dict[Setting, list[Score]] = {}
    for result in results:
        for score in result.scores:
            by_setting.setdefault((score.episodes, score.target), []).append(score)
    return {setting: Measured.of(scores) for setting, scores in by_setting.items()}

"""How much would prove more: episodes and seeds for each row of a bench against its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError, UnknownName
from harness.reports.groups import group_stages, measured
from harness.reports.model import TESTED_ON
from harness.statistics.power import Requirement, paired_variances, required

if TYPE_CHECKING:
    from harness.runs.records import BenchRecord


def requirements(
    output: Path, bench: BenchRecord, baseline: str | None, difference: float, goal: float
) -> list[dict[str, Any]]:
    """A dictionary a row and setting: the open episodes that resolve ``difference`` for each number of seeds.

    And a verdict: whether this split has as many.

    Raises:
        HarnessError: neither the caller nor the bench names a baseline, or it failed.
        UnknownName: no row has that name.
    """
    lines = []
    for table in bench.tables:
        groups = group_stages(output, table)
        name = baseline or bench.plan.baseline
        if name is None:
            raise HarnessError(f"name the row to compare with: --baseline ROW. Rows: {', '.join(groups)}")
        if name not in groups:
            raise UnknownName("row for the baseline", name, groups, "Rows")
        reference = measured(groups[name].results)
        if not reference:
            raise HarnessError(f"the baseline {name} failed, so nothing can be compared with it")
        for row, group in groups.items():
            if not group.shown or group.identity == groups[name].identity:
                continue
            for (spec, target), result in measured(group.results).items():
                other = reference.get((spec, target))
                if target != TESTED_ON or other is None or result.accuracies.shape != other.accuracies.shape:
                    continue
                variances = paired_variances(result.accuracies, other.accuracies, result.classes, result.n_classes)
                needed = required(difference, variances, goal=goal)
                n_seeds, n_episodes = result.accuracies.shape
                all_there_are = n_episodes < bench.plan.episodes
                lines.append(
                    {
                        "dataset": table.dataset,
                        "row": row,
                        "setting": str(spec),
                        "measured (episodes x seeds)": f"{n_episodes} x {n_seeds}"
                        + (", all there are" if all_there_are else ""),
                        **{
                            f"episodes at {need.n_seeds} seed{'s' if need.n_seeds > 1 else ''}": need.n_episodes
                            or "never"
                            for need in needed
                        },
                        "verdict": _verdict(needed, n_episodes, all_there_are),
                    }
                )
    return lines


def _verdict(needed: Sequence[Requirement], n_episodes: int, all_there_are: bool) -> str:
    """For which numbers of seeds the open episodes that were measured are enough; else whether the split has more."""
    enough = [str(need.n_seeds) for need in needed if need.n_episodes is not None and need.n_episodes <= n_episodes]
    if enough:
        return f"enough at {', '.join(enough)} seed{'' if enough == ['1'] else 's'}"
    if all_there_are or all(need.n_episodes is None for need in needed):
        return "not on this split"
    return f"more than {n_episodes} open episodes, if the split has them"

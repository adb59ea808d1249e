"""How much would prove more: episodes and seeds for each row of a bench against its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.common.errors import HarnessError, UnknownName
from harness.reports.build import group_stages, measured
from harness.reports.model import TESTED_ON
from harness.runs.records import BenchRecord
from harness.statistics.power import paired_variances, required


def requirements(
    output: Path, bench: BenchRecord, baseline: str | None, difference: float, goal: float
) -> list[dict[str, Any]]:
    """A dictionary a row and setting: the open episodes that resolve ``difference`` for each number of seeds.

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
            for (spec, target), result in measured(group.results).items() if group.shown and row != name else ():
                other = reference.get((spec, target))
                if target != TESTED_ON or other is None or result.accuracies.shape != other.accuracies.shape:
                    continue
                variances = paired_variances(result.accuracies, other.accuracies, result.classes, result.n_classes)
                needed = {
                    f"episodes at {need.n_seeds} seed{'s' if need.n_seeds > 1 else ''}": need.n_episodes or "never"
                    for need in required(difference, variances, goal=goal)
                }
                n_seeds, n_episodes = result.accuracies.shape
                have = f"{n_episodes} x {n_seeds}"
                if n_episodes < bench.plan.episodes:
                    have += ", all there are"
                lines.append(
                    {
                        "dataset": table.dataset,
                        "row": row,
                        "setting": str(spec),
                        "measured (episodes x seeds)": have,
                        **needed,
                    }
                )
    return lines

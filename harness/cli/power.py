"""``harness power``: how many episodes and seeds it takes to resolve a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import Runs
from harness.common.errors import HarnessError


def power(
    runs: Runs = Path("runs"),
    difference: Annotated[float, typer.Option(help="Difference to resolve, in points of accuracy.")] = 1.0,
    baseline: Annotated[str | None, typer.Option(help="Row to compare all others with.")] = None,
    goal: Annotated[float, typer.Option(help="Probability of seeing a true difference of that size.")] = 0.8,
    bench: Annotated[str, typer.Option(help="ID of the bench, or 'last'.")] = "last",
) -> int:
    """The episodes and seeds that resolve a difference, for every row, from the variances measured."""
    import pandas as pd
    from tabulate import tabulate

    from harness.reports.planning import requirements
    from harness.runs import find_bench

    if not 0 < difference < 100:
        raise HarnessError(f"--difference {difference:g} must be above 0 and below 100 points")
    if not 0 < goal < 1:
        raise HarnessError(f"--goal {goal:g} must be above 0 and below 1: 0.8 is 80 %")
    record = find_bench(runs, bench)
    lines = requirements(runs, record, baseline, difference / 100, goal)
    if not lines:
        raise HarnessError(f"bench {record.id} has no two rows that could be compared on open episodes")
    typer.echo(tabulate(pd.DataFrame(lines), headers="keys", tablefmt="github", showindex=False))
    typer.echo(
        f"\nTo resolve {difference:g} point{'' if difference == 1 else 's'} with probability {goal:g} at the 5 % level "
        "(of one test: Holm's correction over a table asks for more), from the variances of bench "
        f"{record.id}. Under 3 seeds the claim is about these weights. Episodes are open ones, of "
        "which no image is in two: a split has as many as its images allow, and --episodes of a bench, the number of "
        "closed ones, is no more than an upper limit. Never: more seeds are needed."
    )
    return 0

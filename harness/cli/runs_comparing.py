"""``harness runs compare``: two benches or rows: what is not the same, and what their numbers differ by."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.runs_looking import AsJson
from harness.common.errors import HarnessError

if TYPE_CHECKING:
    from harness.reports.side_by_side import Difference, Numbers, Side, SideBySide
    from harness.statistics.intervals import Interval

Reference = Annotated[
    str, typer.Argument(help="ID of a bench or its beginning, 'last', FOLDER:ID, FOLDER, or a row's FILE.json.")
]


def compare(
    a: Reference,
    b: Reference,
    runs: Annotated[Path, typer.Option(help="The run folder of an ID alone.")] = Path("runs"),
    row: Annotated[
        list[str] | None, typer.Option(help="This row alone, rfs/simple; given twice, of A and of B.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset. Default: all.")] = None,
    as_json: AsJson = False,
) -> int:
    """Say what differs between two benches, or two rows: plan, options, versions, data, hardware and numbers.

    Differences are paired by episode and seed where both met the same episodes. What is equal is left out of the table,
    but for the numbers.
    """
    from harness.reports.side_by_side import side_by_side
    from harness.reports.sides import side

    if len(row or ()) > 2:
        raise HarnessError("--row is given once for both sides, or twice: for A and for B")
    of_a, of_b = (row[0], row[-1]) if row else (None, None)
    first, second = side(a, runs, of_a, dataset), side(b, runs, of_b, dataset)
    compared = side_by_side(first, second)
    if as_json:
        typer.echo(json.dumps(_as_values(first, second, compared), indent=2, ensure_ascii=False))
        return 0
    typer.echo(f"A: {first.name}\nB: {second.name}\n")
    if lines := _lines(compared):
        from tabulate import tabulate

        typer.echo(
            tabulate(lines, headers=["of", "what", "A", "B", "B - A"], tablefmt="simple", disable_numparse=True) + "\n"
        )
    for line in _said(compared):
        typer.echo(line)
    return 0


def _lines(compared: SideBySide) -> list[list[str]]:
    from harness.runs.deciding import in_short

    several = len({numbers.dataset for numbers in compared.numbers}) > 1
    facts = [
        [
            _of(one.about, one.dataset, several),
            one.what,
            *("-" if value is None else in_short(value) for value in (one.a, one.b)),
            "",
        ]
        for one in compared.differing
    ]
    return [*facts, *(_number_line(numbers, several) for numbers in compared.numbers)]


def _of(name: str, dataset: str | None, several: bool) -> str:
    return f"{dataset}: {name}" if several and dataset is not None else name


def _number_line(numbers: Numbers, several: bool) -> list[str]:
    what = numbers.setting if numbers.target == "closed" else f"{numbers.setting}, {numbers.target}"
    return [
        _of(_name(numbers), numbers.dataset, several),
        what,
        _percent(numbers.a),
        _percent(numbers.b),
        _shown(numbers),
    ]


def _name(numbers: Numbers) -> str:
    return " | ".join(dict.fromkeys(numbers.rows))


def _percent(interval: Interval | None) -> str:
    from harness.reports.words import percent

    return percent(interval)


def _shown(numbers: Numbers) -> str:
    from harness.reports.words import p_value, percent

    difference = numbers.difference
    if difference is None:
        return numbers.reason
    if difference.equal:
        return "equal"
    if difference.tested is None:
        return f"{100 * difference.mean:+.2f}"
    p = "" if difference.holm_p is None else f", p {p_value(difference.holm_p)}"
    return percent(difference.tested.difference, "+") + p


def _said(compared: SideBySide) -> list[str]:
    """What the table does not say, a line each."""
    lines = []
    if not compared.differing:
        lines.append("plan, options, versions, data, splits, episodes and hardware are the same, as far as recorded")
    for side, names in (("A", compared.only_a), ("B", compared.only_b)):
        if names:
            lines.append(f"in {side} alone: {', '.join(names)}")
    differences = [numbers.difference for numbers in compared.numbers if numbers.difference]
    if any(difference.tested for difference in differences):
        over = f"; p of paired t-tests, by Holm over all {compared.n_tests} of this table" if compared.n_tests else ""
        lines.append(f"B - A: in points, paired by episode and seed; of open episodes ± 95 % interval{over}")
    by_seeds: dict[str, dict[str, None]] = {}
    for numbers in compared.numbers:
        if numbers.difference:
            by_seeds.setdefault(", ".join(map(str, numbers.difference.seeds)), {})[_name(numbers)] = None
    if len(by_seeds) > 1:
        seeds = "; ".join(f"{seeds} ({', '.join(names)})" for seeds, names in by_seeds.items())
        lines.append(f"B - A is over the seeds of both: {seeds}")
    elif by_seeds:
        lines.append(f"B - A is over the seeds of both: {', '.join(by_seeds)}")
    return lines


def _as_values(a: Side, b: Side, compared: SideBySide) -> dict[str, Any]:
    return {
        "a": a.name,
        "b": b.name,
        "differing": [vars(one) for one in compared.differing],
        "numbers": [
            {
                "dataset": numbers.dataset,
                "rows": list(numbers.rows),
                "setting": numbers.setting,
                "target": numbers.target,
                "a": _interval_values(numbers.a),
                "b": _interval_values(numbers.b),
                "difference": _difference_values(numbers.difference),
                "reason": numbers.reason or None,
            }
            for numbers in compared.numbers
        ],
        "only in a": list(compared.only_a),
        "only in b": list(compared.only_b),
    }


def _interval_values(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {"mean": interval.mean, "half_width": interval.half_width if math.isfinite(interval.half_width) else None}


def _difference_values(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    tested = difference.tested
    return {
        "mean": tested.difference.mean if tested else difference.mean,
        "half_width": (_interval_values(tested.difference) or {})["half_width"] if tested else None,
        "equal": difference.equal,
        "seeds": list(difference.seeds),
        "t_p": tested.t_p if tested else None,
        "holm_t_p": difference.holm_p,
    }

"""The commands that make a bench and its page again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.contract.plan import BenchPlan

if TYPE_CHECKING:
    from harness.reports.model import Table


def bench_command(plan: BenchPlan) -> str:
    """``harness bench --methods rfs,skd``: flags whose values are not the default, quoted for a POSIX shell."""
    words = ["harness", "bench"]
    for name, field in BenchPlan.model_fields.items():
        value = getattr(plan, name)
        if value == field.default:
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{name}")
        elif isinstance(value, Mapping):
            words += [part for key, of in value.items() for part in (flag, f"{key}={_value(of)}")]
        elif name == "budget":
            words += [flag, f"images={value}"]
        else:
            words += [flag, _value(value)]
    return shlex.join(words)


def report_command(table: Table) -> str:
    """``harness report runs --bench 2b44fc6d7673 -o report.html``."""
    words = ["harness", "report", "runs", "--bench", table.bench]
    if table.baseline and table.baseline != table.plan.baseline:
        words += ["--baseline", table.baseline]
    if table.equivalent is not None and table.equivalent != table.plan.equivalent:
        words += ["--equivalent", f"{table.equivalent:g}"]
    return shlex.join([*words, "-o", "report.html"])


def _value(value: Any) -> str:
    """A value as flags take it: lists by commas, what is no string as JSON."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value)

"""A bench plan read from a file and the command line, and validated. What it names is in entries.py."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.bench.notation import comma_list, kind_of
from harness.common.errors import HarnessError, UnknownName
from harness.contract.plan import BenchPlan


def validated(values: Mapping[str, Any]) -> BenchPlan:
    """Raises HarnessError where a value has the wrong type, is out of range, or does not go with another."""
    try:
        plan = BenchPlan.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        what = first["msg"].removeprefix("Value error, ")
        raise HarnessError(f"--{name} = {first['input']!r}: {what[0].lower()}{what[1:]}") from None

    if plan.train_on == "trainval" and {"best-val", "best-val-loss"} & set(_selections(plan)):
        raise HarnessError("--train-on trainval leaves no validation classes to select on: drop the selection option")
    fields = BenchPlan.model_fields
    if plan.varied is not None and (plan.way, plan.shots) != (fields["way"].default, fields["shots"].default):
        raise HarnessError("--varied says the bounds of way and shot: drop --way and --shots")
    if plan.equivalent is not None and plan.baseline is None:
        raise HarnessError("--equivalent needs a row to be equivalent to: add --baseline ROW")
    if plan.score_on == "val" and (plan.train_on != "train" or plan.test_dataset is not None):
        raise HarnessError(
            "--score-on val scores on the dataset's own validation classes: drop --train-on trainval and --test-dataset"
        )
    return plan


def _selections(plan: BenchPlan) -> list[Any]:
    swept = [(name, value) for name, values in plan.sweep.items() for value in values]
    return [value for name, value in (*plan.set.items(), *swept) if name.endswith(".selection")]


def load_plan(path: Path | None, overrides: Mapping[str, Any]) -> BenchPlan:
    """The plan of a TOML file, changed by ``overrides`` (command-line values by field name, and ``set``).

    Raises:
        HarnessError: the file cannot be read, or a value is wrong.
    """
    values = _read(path) if path is not None else {}
    for name in ("set", "sweep"):
        if not isinstance(table := values.get(name, {}), dict) or any("." not in key for key in _flat(table)):
            raise HarnessError(f"the plan {path}: [{name}] is a table of LABEL.OPTION = VALUE, found {table!r}")
    tables = {name: {**_flat(values.get(name, {})), **overrides.get(name, {})} for name in ("set", "sweep")}
    values.update({**overrides, **tables})
    for name in values:
        if name not in BenchPlan.model_fields:
            raise UnknownName(f"key in the plan {path}", name, BenchPlan.model_fields, "Keys")
    values = {name: _as_listed(name, value) for name, value in values.items()}
    values["sweep"] = {
        name: value if isinstance(value, (list, tuple)) else [value] for name, value in values["sweep"].items()
    }
    return validated(values)


def _read(path: Path) -> dict[str, Any]:
    """What a TOML file says, with the names of fields as Python writes them."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"cannot read the plan {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HarnessError(f"the plan {path} is not valid TOML: {error}") from None
    return {name.replace("-", "_"): value for name, value in values.items()}


def _as_listed(name: str, value: Any) -> Any:
    """The value of a field, as a list where the field holds several."""
    kind = kind_of(name)
    if kind not in ("names", "numbers") or isinstance(value, (list, tuple)):
        return value
    return comma_list(value, int if kind == "numbers" else str, f"{name} =") if isinstance(value, str) else [value]


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """``{"skd": {"alpha": 2}}`` and ``{"skd.alpha": 2}`` both as the latter."""
    flat: dict[str, Any] = {}
    for label, value in table.items():
        flat.update({f"{label}.{name}": v for name, v in value.items()} if isinstance(value, dict) else {label: value})
    return flat

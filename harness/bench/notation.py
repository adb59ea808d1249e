"""How values are written on the command line and in a plan file: ``skd.alpha=2``, ``0-4``, ``images=2000000``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from harness.common.errors import HarnessError
from harness.contract.plan import MOST_NUMBERS, BenchPlan

T = TypeVar("T")

_COMMA = re.compile(r"(?<!\\),")  # none that a backslash stands before

_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_settings(texts: Sequence[str], flag: str = "--set") -> dict[str, Any]:
    """``{"skd.alpha": 2}`` of ``["skd.alpha=2"]``; see ``parse_setting``."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, value = parse_setting(text, flag)
        if name in settings:
            raise HarnessError(f"{flag} {name} is given twice")
        settings[name] = value
    return settings


def parse_setting(text: str, flag: str = "--set") -> tuple[str, Any]:
    """``("skd.alpha", 2)`` of ``skd.alpha=2``. A list is written with commas; what is no JSON is a string."""
    name, equals, value = text.partition("=")
    if not equals or "." not in name or not value.strip():
        raise HarnessError(f"{flag} {text!r}: write it as LABEL.OPTION=VALUE, as in {flag} skd.alpha=2")
    return name.strip(), _value(value.strip())


def _value(text: str) -> Any:
    if "," in text and not text.startswith(("[", "{", '"')):
        return [_value(part.strip()) for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def comma_list(text: str, kind: Callable[[str], T], flag: str) -> tuple[T, ...]:
    """``1,5`` as (1, 5); ``0-4`` as (0, 1, 2, 3, 4) where ``kind`` is int. A comma within a name: ``\\,``."""
    values: list[Any] = []
    example = "Write it as 1,5 or 0-4" if kind is int else "Separate names by commas"
    for part in filter(None, (part.replace("\\,", ",").strip() for part in _COMMA.split(text))):
        first, dash, last = part.partition("-")
        try:
            if kind is int and dash and first:
                span = range(int(first), int(last) + 1)
                if not 0 < len(span) <= MOST_NUMBERS:
                    problem = f"{len(span):,} numbers; at most {MOST_NUMBERS:,} go" if span else "no number"
                    raise HarnessError(f"{flag} {text!r}: {part!r} names {problem}. {example}")
                values.extend(span)
            else:
                values.append(kind(part))
        except ValueError:
            raise HarnessError(f"{flag} {text!r}: {part!r} is no whole number. {example}") from None
    if not values:
        raise HarnessError(f"{flag} {text!r} names nothing. {example}")
    return tuple(values)


def parse_budget(text: str) -> int:
    """2000000 of ``images=2000000``, ``images=2M`` or ``2000k``."""
    match = re.fullmatch(r"(?:images=)?([\d_]*\d(?:\.\d+)?)([km]?)", text.strip().lower())
    number = round(float(match[1].replace("_", "")) * _THOUSANDS[match[2]]) if match else 0
    if number == 0:
        raise HarnessError(f"--budget {text!r}: write it as images=N, as in --budget images=2000000 or images=2M")
    return number


def kind_of(name: str) -> str:
    """How a field of BenchPlan is written: names, numbers, settings, budget, switch, whole or text."""
    if name == "budget":
        return "budget"
    annotation = BenchPlan.model_fields[name].annotation
    of = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is tuple:
        return "names" if of[0] is str else "numbers"
    if get_origin(annotation) is Mapping:
        return "settings"
    if annotation is bool:
        return "switch"
    whole = annotation is int or any(part is int or int in get_args(part) for part in of)
    return "whole" if whole else "text"


def from_text(name: str, value: Any) -> Any:
    """The value of a field of BenchPlan, as the command line gives it, in the field's own type.

    Raises:
        HarnessError: it is written otherwise than such values are.
    """
    flag = f"--{name.replace('_', '-')}"
    kind = kind_of(name)
    if kind in ("names", "numbers"):
        return comma_list(value, int if kind == "numbers" else str, flag)
    if kind == "settings":
        return parse_settings(value, flag)
    return parse_budget(value) if kind == "budget" else value

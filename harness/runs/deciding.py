"""What decides a stage, by name: to say what differs between two of them, and what is not what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.common.text import shown

if TYPE_CHECKING:
    from harness.runs.identity import StageIdentity

SHOWN = 12  # digits of a fingerprint that are printed

NAMES = {  # field of StageIdentity → what it is; of a field that holds several, what each of them is
    "method": "method",
    "stage": "stage",
    "version": "version of the method's stage",
    "options": "option",
    "parents": "stages that it is trained from",
    "data": "fingerprint of the training images",
    "validation": "validation images and the head that is used on them",
    "pixels": "images:",
    "backbone": "backbone",
    "weights": "sha256 of the weights that its backbone starts from",
    "seed": "seed",
    "precision": "precision asked for",
}


def deciding(identity: StageIdentity) -> dict[str, Any]:
    """Name → value of all that decides a stage, as JSON holds it: ``option epochs`` → 60."""
    values = json.loads(json.dumps(asdict(identity)))
    parts: dict[str, Any] = {}
    for field, name in NAMES.items():
        parts |= _flat(name, values[field], " ")
    return parts


def _flat(name: str, value: Any, between: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {
        flat: one for part, inner in value.items() for flat, one in _flat(f"{name}{between}{part}", inner, ".").items()
    }


def changed_parts(then: StageIdentity, now: StageIdentity) -> Iterator[str]:
    """What decides a stage and is not what it was, a text each: ``option epochs was 60, now 90``."""
    before, after = deciding(then), deciding(now)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield f"{name} was {_shown(before, name)}, now {_shown(after, name)}"


def _shown(values: Mapping[str, Any], name: str) -> str:
    return in_short(values[name]) if name in values else "not there"


def in_short(value: Any) -> str:
    """A value that decides a stage: of a fingerprint the first digits."""
    if value is None or value == "" or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(in_short, value[:8])) + (", …" if len(value) > 8 else "")
    if isinstance(value, str):
        return " ".join(word[:SHOWN] if len(word) == 64 else word for word in value.split(" "))[:120]
    return shown(value)

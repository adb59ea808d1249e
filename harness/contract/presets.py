"""A method's options under a preset for a dataset.

Precedence, later wins: defaults < preset < preset for this dataset < bench plan < ``--set``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.common.errors import HarnessError, UnknownName
from harness.contract.methods import MethodSpec, Preset
from harness.contract.names import PartReference

if TYPE_CHECKING:
    from harness.contract.options import MethodOptions


def resolve(
    method: MethodSpec, preset: str, dataset: str, *overrides: Mapping[str, Any], label: str | None = None
) -> MethodOptions:
    """The options of ``method`` under a preset for a dataset, changed by each of ``overrides`` in turn.

    Raises:
        UnknownName: no such preset or option.
        HarnessError: a value of the wrong type or out of range.
    """
    chosen = find_preset(method, preset)
    values: dict[str, Any] = {**chosen.values, **chosen.per_dataset.get(PartReference.parse(dataset).name, {})}
    for override in overrides:
        values.update(override)
    shown = label or method.name
    known = method.options.model_fields
    for name in values:
        if name not in known:
            raise UnknownName(f"option of {shown}", name, known, "Options")
    try:
        return method.options.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "options"
        raise HarnessError(
            f"{shown}.{name} = {first['input']!r}: {first['msg'].lower()}. See: harness methods {method.name}"
        ) from None


def find_preset(method: MethodSpec, name: str) -> Preset:
    """The preset of that name. A method that offers none at all runs on its defaults whatever the name.

    Raises:
        UnknownName: the method has presets, but not this one.
    """
    if not method.presets:
        return Preset("the defaults")
    if name not in method.presets:
        raise UnknownName(f"preset of {method.name}", name, method.presets, "Presets")
    return method.presets[name]

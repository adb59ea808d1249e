"""Whether what a plugin offers keeps the contract, as far as shows without running it."""

from __future__ import annotations

import re
from typing import Any

from harness.common.errors import PluginError, UnknownName, one_line
from harness.contract.citations import check_citation
from harness.contract.methods import MethodSpec, Stage


def validate(spec: Any) -> None:
    """Raises PluginError where a spec breaks the contract in a way that shows without running it."""
    signs = "._+-" if isinstance(spec, MethodSpec) else "._-"  # a + is between the transforms of a head
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9{signs}]*", spec.name):
        named = ", ".join(map(repr, signs[:-1]))
        raise PluginError(f"the name {spec.name!r} may hold letters, digits, {named} and '-' only")
    check_citation(getattr(spec, "citation", ()))
    if isinstance(spec, MethodSpec):
        _validate_method(spec)


def _validate_method(method: MethodSpec) -> None:
    """Raises PluginError where a preset, a stage's parent or an option it reads does not exist."""
    from harness.contract.options import MethodOptions
    from harness.contract.presets import resolve

    if not (isinstance(method.options, type) and issubclass(method.options, MethodOptions)):
        raise PluginError(f"{method.name}: options must be a subclass of harness.MethodOptions")
    for name, option in method.options.model_fields.items():
        if not option.description:
            raise PluginError(
                f"{method.name}: the option {name!r} has no description: write it as {name}: … = "
                'Field(…, description="…"), with pydantic\'s Field'
            )
    for preset in method.presets or [""]:
        for dataset in ["", *(method.presets[preset].per_dataset if preset else ())]:
            checked_stages(method, resolve(method, preset, dataset))


def checked_stages(method: MethodSpec, options: Any) -> list[Stage]:
    """The stages of a method under these options.

    Raises:
        PluginError: they cannot be made, or a stage's name, its parent or an option that it reads is wrong.
    """
    try:
        stages = list(method.stages(options))
    except Exception as error:
        raise PluginError(f"{method.name}: stages() failed: {one_line(error)}") from error
    seen: set[str] = set()
    for stage in stages:
        if not isinstance(stage, Stage):
            raise PluginError(f"{method.name}: stages() returned a {type(stage).__name__}, not a harness.Stage")
        _validate_stage(method, stage, seen)
        seen.add(stage.name)
    if not seen:
        raise PluginError(f"{method.name}: no stages")
    return stages


def _validate_stage(method: MethodSpec, stage: Stage, earlier: set[str]) -> None:
    name = f"{method.name}/{stage.name}"
    for what, names in (("parents", stage.parents), ("reads", stage.reads)):
        if isinstance(names, str):
            raise PluginError(f"{name}: {what} is a tuple of names: write ({names!r},)")
    for parent in stage.parents:
        if parent not in earlier:
            raise PluginError(f"{name}: its parent {parent!r} is no earlier stage")
    for option in stage.reads or ():
        if option not in method.options.model_fields:
            raise UnknownName(f"option read by {name}", option, method.options.model_fields)
    if stage.name in earlier:
        raise PluginError(f"{method.name}: two stages are named {stage.name!r}")

"""The flags of commands that take a bench plan, made from the plan's own fields: their types, defaults and help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from harness.bench.notation import from_text, kind_of
from harness.contract.plan import BenchPlan

# How the value of a field of each kind is taken from the command line; absent, the flag changes nothing.
_TAKEN_AS: Mapping[str, Any] = {
    "switch": bool | None,
    "whole": int | None,
    "settings": list[str] | None,
}

# The fields under the title that help shows them under.
GROUPS: Mapping[str, Sequence[str]] = {
    "What is compared": ("methods", "floors", "dataset", "preset", "backbone", "weights", "rows"),
    "Training": ("seeds", "budget", "set", "sweep", "augment", "train_on"),
    "Episodes": ("shots", "way", "varied", "queries", "episodes", "episode_seed", "test_dataset", "score_on"),
    "Scoring": ("classifier", "transform", "views", "embed", "predictions"),
    "Differences": ("baseline", "equivalent"),
    "Images of your own": ("image_size", "split", "split_seed", "skip_damaged"),
    "Machine": ("device", "devices", "precision", "threads"),
}
_MORE = "More"  # the title of fields that stand in no group


def group_of(name: str) -> str:
    """The title of a field of BenchPlan in help."""
    return next((title for title, names in GROUPS.items() if name in names), _MORE)


def plan_flags(*names: str, **help_texts: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator that gives a command the flags of these fields of BenchPlan.

    The command takes them as one argument ``changes``: field → value, as far as they were given.

    Args:
        names: of fields; all where none is named.
        about: help for a field that means something of its own in this command.
    """
    chosen = names or tuple(BenchPlan.model_fields)

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command, eval_str=True)
        flags = [_flag(name, help_texts.get(name)) for name in chosen]
        at = list(signature.parameters).index("changes")
        others = [parameter for parameter in signature.parameters.values() if parameter.name != "changes"]
        parameters = [*others[:at], *flags, *others[at:]]

        @functools.wraps(command)
        def wrapper(**values: Any) -> int:
            given = {name: values.pop(_python_name(name)) for name in chosen}
            changes = {name: from_text(name, value) for name, value in given.items() if value is not None}
            return command(**values, changes=changes)

        wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapper

    return decorate


def _flag(name: str, help_text: str | None) -> inspect.Parameter:
    field = BenchPlan.model_fields[name]
    kind = kind_of(name)
    flag = f"--{name.replace('_', '-')}"
    spellings: Sequence[str] = [f"{flag}/--no-{name}"] if kind == "switch" and field.default is True else [flag]
    option = typer.Option(*spellings, help=help_text or _help(field), rich_help_panel=group_of(name))
    annotation: Any = Annotated[_TAKEN_AS.get(kind, str | None), option]  # type: ignore[valid-type]
    return inspect.Parameter(_python_name(name), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _help(field: FieldInfo) -> str:
    """A field as help says it: ``Query images a class, n_query. Default: 15.``."""
    text = field.description or ""
    sentence = f"{text[:1].upper()}{text[1:]}."
    default = field.default
    if default is None or default is False or default is True or default in ((), {}):
        return sentence
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{sentence} Default: {shown}."


def _python_name(name: str) -> str:
    """Of the parameter: ``set`` would hide the built-in, and typer cannot show a name that ends in an underscore."""
    return f"plan_{name}"

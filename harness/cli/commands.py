"""The subcommands of ``harness``: a line each, and the group that imports one when it is called.

``harness --help`` shows this table and imports no subcommand, so that what one of them needs slows down no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Command:
    """A subcommand."""

    name: str
    place: str  # "module:attribute" in harness.cli: a function, or a typer.Typer with subcommands of its own
    summary: str  # how the subcommand's own help begins, in at most 60 letters


COMMANDS = (
    Command("bench", "bench:bench", "Train and score methods on identical splits and episodes"),
    Command("methods", "lists:methods", "Methods: what is installed"),
    Command("datasets", "lists:datasets", "Datasets: what can be benched on"),
    Command("backbones", "lists:backbones", "Backbones: the networks that methods can be trained on"),
    Command("classifiers", "lists:classifiers", "Classifiers: what --classifier accepts"),
    Command("data", "data:app", "Prepare, verify and look at datasets"),
    Command("evaluate", "evaluate:evaluate", "Score the trained stages of a bench again"),
    Command("export", "export:app", "Write the features of a trained stage to a file"),
    Command("report", "report:report", "Print the comparison table of a run folder again"),
    Command("power", "power:power", "The episodes and seeds that resolve a difference"),
    Command("tune", "tune:tune", "Search a method's options for the highest accuracy"),
    Command("new", "new:app", "Start a plugin of your own"),
    Command("check", "check:check", "Say which promises of the contract a method keeps"),
    Command("doctor", "doctor:doctor", "Say what this machine has and what is missing or broken"),
)


class LazyGroup(TyperGroup):
    """A group that lists COMMANDS and imports a command only once it is called, or its own help is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in COMMANDS:
            self.add_command(TyperCommand(command.name, help=command.summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command's name, the command itself, and the arguments that are left for it."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else listed, rest


def load(name: str) -> Any:
    """The command of that name, imported."""
    [place] = (command.place for command in COMMANDS if command.name == name)
    module, _, attribute = place.partition(":")
    target = getattr(import_module(f"harness.cli.{module}"), attribute)
    parent = typer.Typer(callback=lambda: None, add_completion=False, rich_markup_mode=None)
    if isinstance(target, typer.Typer):
        parent.add_typer(target, name=name)
    else:
        parent.command(name)(target)
    group = typer.main.get_command(parent)
    assert isinstance(group, TyperGroup)
    return group.commands[name]

"""The subcommands of ``harness``: a line each, and the group that imports one when it is called.

``harness --help`` shows this table and imports no subcommand, so that what one of them needs slows down no other.
``harness help bench`` is ``harness bench --help``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from harness.cli.help import GroupedCommand
from harness.cli.settings import defaults_of


@dataclass(frozen=True)
class Command:
    """A subcommand."""

    name: str
    place: str  # "module:attribute" in harness.cli: a function, or a typer.Typer with subcommands of its own
    summary: str  # how the subcommand's own help begins, in at most 60 letters
    examples: tuple[str, ...] = ()  # whole command lines, shown below its options


COMMANDS = (
    Command(
        "bench",
        "bench:bench",
        "Train and score methods on identical splits and episodes",
        (
            "harness bench",
            "harness bench --methods skd,rfs --dataset CIFAR-FS --seeds 0-2 --baseline rfs/simple > table.md",
            "harness bench --methods rfs --set rfs.epochs=90 --preset paper",
            "harness bench --dataset folder:photos --split 60/20/20",
        ),
    ),
    Command("methods", "lists:methods", "Methods: what is installed"),
    Command("datasets", "lists:datasets", "Datasets: what can be benched on"),
    Command("backbones", "lists:backbones", "Backbones: the networks that methods can be trained on"),
    Command("classifiers", "lists:classifiers", "Classifiers: what --classifier accepts"),
    Command("data", "data:app", "Prepare, verify and look at datasets"),
    Command(
        "evaluate",
        "evaluate:evaluate",
        "Score the trained stages of a bench again",
        ("harness evaluate runs --classifier cosine --episodes 10000", "harness evaluate runs --shots 1,5,10,20"),
    ),
    Command("export", "export:app", "Write the features of a trained stage to a file"),
    Command(
        "classify",
        "classify:classify",
        "Name new images from a few examples of each class",
        ("harness classify runs --row rfs/simple --support examples --query new -o answers.html",),
    ),
    Command(
        "report",
        "report:report",
        "Print the comparison table of a run folder again",
        (
            "harness report runs --baseline rfs/simple",
            "harness report runs -o report.html",
            "harness report runs -o table.tex --mark best,same --precision 1",
            "harness report runs --plots figures",
        ),
    ),
    Command("runs", "runs:app", "List, show, compare, prune, hand on and reproduce runs"),
    Command(
        "cite",
        "cite:cite",
        "Print the BibTeX of what stands in a table",
        ("harness cite runs -o paper.bib",),
    ),
    Command("power", "power:power", "The episodes and seeds that resolve a difference"),
    Command(
        "tune",
        "tune:tune",
        "Search a method's options for the highest accuracy",
        ("harness tune skd --dataset CIFAR-FS --set skd.beta=0.025..0.5 --trials 20",),
    ),
    Command("new", "new:app", "Start a plugin of your own"),
    Command("check", "check:check", "Say which promises of the contract a method keeps"),
    Command("doctor", "doctor:doctor", "Say what this machine has and what is missing or broken"),
)


class LazyGroup(TyperGroup):
    """A group that lists COMMANDS and imports a command only once it is called, or its own help is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in COMMANDS:
            self.add_command(GroupedCommand(command.name, help=command.summary))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """``help COMMAND`` is ``COMMAND --help``, ``help`` alone ``--help``."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command's name, the command itself, and the arguments that are left for it."""
        name, listed, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, listed, rest
        command = load(name)
        ctx.default_map = {name: defaults_of(command)}
        return name, command, rest


def load(name: str) -> Any:
    """The command of that name, imported."""
    [listed] = (command for command in COMMANDS if command.name == name)
    module, _, attribute = listed.place.partition(":")
    target = getattr(import_module(f"harness.cli.{module}"), attribute)
    parent = typer.Typer(callback=lambda: None, add_completion=False, rich_markup_mode=None)
    if isinstance(target, typer.Typer):
        parent.add_typer(target, name=name)
    else:
        parent.command(name, cls=GroupedCommand)(target)
    group = typer.main.get_command(parent)
    assert isinstance(group, TyperGroup)
    command = group.commands[name]
    if isinstance(command, GroupedCommand):
        command.examples = listed.examples
    return command

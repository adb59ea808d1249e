"""harness/cli/commands.py: the table of subcommands is true, and a help costs no more than it shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from harness.cli.commands import COMMANDS, load

NAMES = [command.name for command in COMMANDS]


def modules_after(*runs: Sequence[str]) -> set[str]:
    """The modules in memory after ``harness`` has been run with each of these arguments, in a process of its own."""
    code = (
        f"import sys; from harness.cli.main import main; status = max(main(run) for run in {runs});"
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    return set(result.stderr.split())


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_summary_is_how_the_commands_own_help_begins(command):
    text = " ".join((load(command.name).help or "").split())
    assert text.startswith(command.summary)
    assert not text[len(command.summary)].isalnum()


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_a_summary_fits_a_terminal_of_80_columns(command):
    assert len(command.summary) <= 60


def test_help_lists_every_command_whole():
    result = subprocess.run([sys.executable, "-m", "harness", "--help"], text=True, capture_output=True, check=True)
    for command in COMMANDS:
        [line] = [line for line in result.stdout.splitlines() if line.startswith(f"  {command.name} ")]
        assert line.split(maxsplit=1)[1] == command.summary


def test_help_imports_no_subcommand_and_nothing_heavy():
    modules = modules_after(["--help"])
    rooms = {name.split(".")[1] for name in modules if name.startswith("harness.")}
    assert rooms == {"cli", "common"}
    assert not modules & {f"harness.cli.{command.place.partition(':')[0]}" for command in COMMANDS}
    assert not modules & {"torch", "pandas", "matplotlib", "numpy", "scipy", "sklearn", "pydantic", "rich"}


def test_the_help_of_a_command_imports_no_torch_pandas_or_matplotlib():
    modules = modules_after(*([name, "--help"] for name in NAMES))
    assert "harness.cli.doctor" in modules
    assert not modules & {"torch", "pandas", "matplotlib", "scipy", "sklearn"}


@pytest.mark.parametrize("arguments", [["bench", "-h"], ["data", "-h"], ["new", "-h"], ["data", "prepare", "-h"]])
def test_help_of_a_command_is_plain_and_names_the_whole_command(arguments, capsys):
    from harness.cli.main import main

    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert " ".join(arguments[:-1]) in shown.splitlines()[0]
    assert "completion" not in shown
    assert "─" not in shown

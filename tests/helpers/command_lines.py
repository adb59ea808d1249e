"""What a command line in a document is held against where it is not run: parsers, project files, a shell."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cli.commands import COMMANDS, load

ROOT = Path(__file__).parents[2]


class Wrong(Exception):
    """What a document says is not so."""


def accept(words: Sequence[str], command: Any = None) -> None:
    """Parse ``words`` as the command of the harness would that they begin with; nothing is run."""
    name, *rest = words
    if command is None:
        command = load(name)
    if getattr(command, "commands", None) and rest:
        accept(rest, command.commands[rest[0]])
        return
    with command.make_context(name, rest) as context:
        assert context.params is not None


def is_name(words: Sequence[str]) -> bool:
    """Whether words are the name of a command of the harness and nothing else."""
    if words[0] not in {command.name for command in COMMANDS}:
        return False
    command: Any = load(words[0])
    for word in words[1:]:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


def check_syntax(line: str) -> None:
    result = subprocess.run(["bash", "-n"], input=line, text=True, capture_output=True)
    if result.returncode:
        raise Wrong(result.stderr.strip())


def check_extras(requirement: str) -> None:
    """That a requirement of this project, as ``fsl-harness[html]`` or ``plugins/trackers[mlflow]``, has its extras."""
    name, _, extras = requirement.rstrip("]").partition("[")
    folder = ROOT if name == "fsl-harness" else ROOT / name.replace("harness-", "plugins/")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    unknown = {*extras.split(",")} - {*project.get("optional-dependencies", {})}
    if unknown:
        raise Wrong(f"{name} has no extra {', '.join(unknown)}")


def check_environments(words: Sequence[str]) -> None:
    """That tox.ini has the environments that a call of tox names."""
    known = re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
    asked = words[words.index("-e") + 1].split(",") if "-e" in words else []
    unknown = {*asked} - {*known}
    if unknown:
        raise Wrong(f"tox.ini has no environment {', '.join(unknown)}")

"""docs/: the tutorial's commands run in their order, every other command line is one that the command accepts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.commands import load
from harness.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
SMALL = ["--budget", "320", "--episodes", "8", "--threads", "1", "--device", "cpu", "--executor", "inline"]


def commands_of(page: Path) -> list[str]:
    """The indented command lines of a page that call the harness, without what is piped or remarked."""
    lines = re.findall(r"^    (harness [a-z].*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.split(r"\s+(?:[#>]|&&)\s*|\s{3,}", line)[0].strip() for line in lines]


@pytest.mark.learn2learn
def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands = commands_of(ROOT / "docs" / "tutorial.md")
    assert {command.split()[1] for command in commands} == {"doctor", "bench", "evaluate", "power", "report", "methods"}
    for command in commands:
        words = shlex.split(command.replace("--episodes 2000", "--episodes 12"))[1:]
        assert main([*words, *(SMALL if words[0] == "bench" else [])]) == 0, (command, capsys.readouterr().err)
    assert (tmp_path / "numbers.csv").read_text().count("rfs/simple") > 10
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_of_a_page_is_one_that_the_command_takes(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in commands_of(page):
        words = [word for word in shlex.split(command)[1:] if word != "…"]
        accept(load(words[0]), words)


def accept(command, words):
    """Parse ``words`` as the command would, a subcommand's too; nothing is run."""
    name, *rest = words
    if getattr(command, "commands", None) and rest:
        assert rest[0] in command.commands, words
        accept(command.commands[rest[0]], rest)
        return
    with command.make_context(name, rest) as context:
        assert context.params is not None


def test_the_chinese_readme_has_the_commands_code_and_sections_of_the_english_one():
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    for pattern in (
        r"^    ((?:harness|python|pip) .*?)(?:\s{2,}#.*|  #.*)?$",
        r"^(    [a-z]+/)",
        r"```python\n(.*?)```",
    ):
        flags = re.MULTILINE | (re.DOTALL if "```" in pattern else 0)
        assert re.findall(pattern, chinese, flags) == re.findall(pattern, english, flags)
    assert [len(level) for level in re.findall(r"^(#+) ", chinese, re.MULTILINE)] == [
        len(level) for level in re.findall(r"^(#+) ", english, re.MULTILINE)
    ]
    assert {*re.findall(r"\]\((docs/[^)]*)\)", chinese)} == {*re.findall(r"\]\((docs/[^)]*)\)", english)}


@pytest.mark.skipif(shutil.which("mkdocs") is None, reason="mkdocs is not installed: tox run -e docs")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=quiet, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    assert "harness bench" in (tmp_path / "site" / "commands.html").read_text(encoding="utf-8")

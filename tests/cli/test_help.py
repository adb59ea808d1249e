"""harness/cli/help.py, settings.py: help in groups with examples, and defaults of one's own for the machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
import typer

from harness.cli.commands import COMMANDS, load
from harness.cli.main import main
from harness.cli.plan_flags import GROUPS, group_of
from harness.cli.settings import SETTINGS
from harness.contract.plan import BenchPlan


def test_every_field_of_a_plan_stands_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(BenchPlan.model_fields)
    assert group_of("shots") == "Episodes"


def test_help_shows_each_flag_under_the_title_of_its_group(capsys):
    assert main(["bench", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert {*GROUPS, "Arguments", "Examples"} <= {*titles}
    under = {}
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            title = line.rstrip(":")
        elif line.startswith("  --"):
            under[line.split()[0].removeprefix("--")] = title
    assert under["queries"] == "Episodes"
    assert under["precision"] == "Machine"


@pytest.mark.parametrize(
    "example", [pytest.param(example, id=example) for command in COMMANDS for example in command.examples]
)
def test_an_example_is_a_command_line_that_the_command_accepts(example, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(example.partition(" >")[0])
    assert words[0] == "harness"
    command = load(words[1])
    with command.make_context(words[1], words[2:]) as context:
        assert context.params


@pytest.mark.parametrize("words", [["help", "report"], ["report", "--help"]])
def test_help_of_a_command_has_two_spellings(words, capsys):
    assert main(words) == 0
    assert "--baseline" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "offered"), [("harness da", "data"), ("harness report --base", "--baseline")])
def test_completion_knows_commands_and_flags(typed, offered):
    code = "import sys; sys.argv = ['harness']; from harness.cli.main import main; sys.exit(main())"
    asked = {"_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, text=True, capture_output=True)
    assert offered in result.stdout.split(), result.stderr


def test_settings_are_defaults_that_a_flag_overrides(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harness.toml").write_text('threads = 3\noutput = "elsewhere"\n')
    for given, threads in (([], 3), (["--threads", "1"], 1)):
        values = _parsed(["bench", *given])
        assert values["plan_threads"] == threads
        assert str(values["output"]) == "elsewhere"


def _parsed(words):
    """The values of a command's parameters, as the command line and the settings give them."""
    from harness.cli.main import app

    group = typer.main.get_command(app)
    with group.make_context("harness", words) as context:
        name, command, rest = group.resolve_command(context, words)
        with command.make_context(name, rest, parent=context) as own:
            return own.params


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shots = 1", "unknown setting in harness.toml 'shots'"),
        ("thread = 1", "Did you mean 'threads'?"),
        ("threads =", "harness.toml is not valid TOML"),
        ("threads = [1]", "neither a text nor a number"),
    ],
)
def test_a_setting_that_is_none_is_refused_in_one_line(text, message, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harness.toml").write_text(text)
    assert main(["report", "nothing"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_every_setting_is_a_flag_of_the_bench_or_is_to_come():
    flags = {flag.removeprefix("--") for parameter in load("bench").params for flag in parameter.opts}
    assert {"threads", "output", "data-root", "executor"} <= flags & {*SETTINGS}

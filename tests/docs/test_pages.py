"""docs/: the tutorial runs in its order, the Chinese README says what the English one does, the site is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from tests.helpers.documents import blocks_of, commands_of

ROOT = Path(__file__).parents[2]
SMALL = ["--budget", "320", "--episodes", "8", "--threads", "1", "--device", "cpu", "--executor", "inline"]


@pytest.mark.learn2learn
def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    commands = [
        command.arguments
        for block in blocks
        for line in block.lines
        for command in commands_of(line)
        if command.program == "harness"
    ]
    assert {words[0] for words in commands} == {"doctor", "bench", "evaluate", "power", "report", "methods"}
    for words in commands:
        small = ["12" if word == "2000" else word for word in words]
        assert main([*small, *(SMALL if words[0] == "bench" else [])]) == 0, (words, capsys.readouterr().err)
    assert (tmp_path / "numbers.csv").read_text().count("rfs/simple") > 10
    assert (tmp_path / "report.html").stat().st_size > 10_000


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

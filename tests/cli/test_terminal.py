"""harness/cli/terminal.py: nothing that a file or an argument says reaches the terminal as a command to it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from harness.cli.main import main
from harness.cli.terminal import PrintableStream, error_console, printable_output
from tests.helpers.data import encode

RED = "\x1b[31mred\x07"


def test_what_is_printed_inside_has_its_control_characters_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    with printable_output():
        sys.stdout.write(f"{RED}\n")
        sys.stderr.write(f"{RED}\n")
        error_console().print("bars keep theirs")
    assert not isinstance(sys.stdout, PrintableStream)
    out, err = capsys.readouterr()
    assert out == "\\x1b[31mred\\x07\n"
    assert err == "\\x1b[31mred\\x07\nbars keep theirs\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "info", f"folder:{RED}"],
        ["data", "prepare", "CIFAR-FS", "--source", RED],
        ["data", "prepare", RED, "--source", "x"],
        ["bench", "--methods", RED],
        ["report", RED],
        [RED],
        ["bench", f"--{RED}"],
    ],
)
def test_an_argument_is_shown_without_its_control_characters(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "\x1b" not in "".join(capsys.readouterr())


def test_names_of_files_and_classes_are_shown_without_their_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            folder = tmp_path / split / f"{split} {name}{RED}"
            folder.mkdir(parents=True)
            (folder / f"{RED}.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
            (folder / f"{RED}.txt").write_bytes(b"")
    (tmp_path / "stray" / RED).mkdir(parents=True)
    (tmp_path / "stray" / RED / "x.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8)))
    assert main(["data", "info", f"folder:{tmp_path}", "--classes"]) == 0
    told = "".join(capsys.readouterr())
    assert "\x1b" not in told
    assert "red\\x07" in told

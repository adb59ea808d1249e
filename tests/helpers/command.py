"""The command line as a person types it: in the process of the tests, or in one of its own where that is the point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def run_here(folder: Path, *arguments: str) -> Ended:
    """Run ``harness`` in a folder, where torch is loaded already; workers come from one server for all tests.

    What workers write to standard error is not in ``stderr``.
    """
    from harness.cli.main import main

    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "120")
        try:
            status = main(arguments)
        finally:
            signal.signal(signal.SIGTERM, before)
    return Ended(status, out.getvalue(), err.getvalue())


def run_alone(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``harness`` in a folder and in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", **environment},
        text=True,
        capture_output=True,
    )

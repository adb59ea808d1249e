"""harness classify: the answers of harness.classify as a table, as CSV, and as a page."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import harness
from harness.cli.main import main

HOSTILE = "=1+<b>"


@pytest.fixture
def folders(tmp_path, rng):
    """Examples of two classes, and queries."""
    for name in ("dark", HOSTILE):
        (tmp_path / "examples" / name).mkdir(parents=True)
        level = 30 if name == "dark" else 220
        for n in range(2):
            image = np.full((20, 20, 3), level + n, np.uint8)
            Image.fromarray(image).save(tmp_path / "examples" / name / f"{n}.png")
    (tmp_path / "new").mkdir()
    for level in (35, 215):
        Image.fromarray(np.full((9, 9, 3), level, np.uint8)).save(tmp_path / "new" / f"@{level}.png")
    return tmp_path


def ask(runs, folders, *more):
    where = ["--support", str(folders / "examples"), "--query", str(folders / "new")]
    return main(["classify", str(runs), "--row", "pixels", *where, *more])


def test_the_command_prints_what_the_function_returns(small_runs, folders, capsys):
    assert ask(small_runs, folders) == 0
    shown = capsys.readouterr().out.splitlines()[2:]
    answers = harness.classify(small_runs, folders / "examples", folders / "new", "pixels")
    assert [line.split()[:2] for line in shown] == answers[["image", "class"]].to_numpy().tolist()
    assert list(answers["class"]) == [HOSTILE, "dark"]


def test_csv_has_every_probability_and_no_formula(small_runs, folders, capsys):
    assert ask(small_runs, folders, "--format", "csv") == 0
    lines = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(lines.columns) == ["image", "class", "probability", f"P({HOSTILE})", "P(dark)"]
    np.testing.assert_allclose(lines.iloc[:, 3:].sum(axis=1), 1, atol=1e-5)
    assert list(lines["class"]) == [f"'{HOSTILE}", "dark"]
    assert lines["image"].str.startswith("'@").all()


def test_the_page_shows_the_images_and_lets_no_name_act(small_runs, folders):
    target = folders / "answers.html"
    assert ask(small_runs, folders, "-o", str(target)) == 0
    page = target.read_text(encoding="utf-8")
    assert len(re.findall(r"<img alt=\"\" src=\"data:image/png;base64,", page)) == 2
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format", "pdf"], "unknown format 'pdf'"),
        (["--seed", "9"], "unknown seed"),
        (["--query", "x"], "no such folder"),
    ],
)
def test_mistakes_are_one_line(small_runs, folders, more, message, capsys):
    assert ask(small_runs, folders, *more) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line

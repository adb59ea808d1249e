"""docs/notebooks: the example notebook runs as it stands, from its first cell to its last."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "bench.ipynb"


@pytest.mark.learn2learn
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path):
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    assert "budget=6_400" in sources[0]
    quick = [sources[0].replace("budget=6_400", "budget=640").replace("range(3)", "range(1)"), *sources[1:]]
    shown = "\nprint(results._repr_html_(), features.shape)\n"
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(quick) + shown], cwd=tmp_path, text=True, capture_output=True
    )
    assert result.returncode == 0, result.stderr
    assert "<table>" in result.stdout
    assert result.stdout.rstrip().endswith("(6, 256)")
    assert (tmp_path / "table.tex").exists()

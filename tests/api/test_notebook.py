"""docs/notebooks: the example notebook runs as it stands, from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "bench.ipynb"


@pytest.mark.learn2learn
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    small = {"budget=6_400": "budget=320", "episodes=200": "episodes=8", "range(3)": "range(1)"}
    for asked, less in small.items():
        assert asked in sources[0]
        sources[0] = sources[0].replace(asked, less)
    monkeypatch.chdir(tmp_path)
    scope = {}
    for source in sources:
        exec(source, scope)
    assert "<table>" in scope["results"]._repr_html_()
    assert scope["features"].shape == (6, 256)
    assert (tmp_path / "table.tex").exists()

"""The plugins that docs/adding_a_dataset.md shows work as they stand there."""

from __future__ import annotations

import re
import types
from pathlib import Path

import numpy as np
import pytest

from harness.catalogue.catalogue import Catalogue
from harness.common.errors import DataError
from harness.contract.data import DataRequest
from harness.datasets.preparing.prepare import PrepareRequest
from tests.helpers.data import encode

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_dataset.md"


def shown_plugin(number: int) -> types.ModuleType:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[number]
    module = types.ModuleType(f"shown_{number}")
    exec(compile(code, f"{PAGE}[{number}]", "exec"), module.__dict__)
    return module


def test_the_small_plugin_offers_a_dataset_that_opens() -> None:
    catalogue = Catalogue()
    catalogue.add("harness-shapes", shown_plugin(0))
    assert catalogue.broken == []
    spec, argument = catalogue.dataset("shapes")
    assert argument is None
    dataset = spec.open(DataRequest(Path()))
    assert [split.n_classes for split in dataset.splits] == [10, 6, 8]


def test_the_prepared_plugin_prepares_opens_and_explains(tmp_path: Path) -> None:
    catalogue = Catalogue()
    catalogue.add("harness-birds", shown_plugin(1))
    spec, _ = catalogue.dataset("birds")
    with pytest.raises(DataError, match=r"Get birds.zip from .* harness data prepare birds --source PATH"):
        spec.open(DataRequest(tmp_path))
    for name in ("sparrow", "robin", "heron"):
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(2):
            image = np.full((50, 60, 3), 40 * number, np.uint8)
            (tmp_path / "source" / name / f"{number}.jpg").write_bytes(encode(image, "JPEG"))
    assert spec.prepare is not None
    spec.prepare(PrepareRequest(tmp_path, tmp_path / "source"))
    dataset = spec.open(DataRequest(tmp_path))
    assert [split.class_names for split in dataset.splits] == [("sparrow", "robin"), ("heron",)]
    assert dataset.notes == ()

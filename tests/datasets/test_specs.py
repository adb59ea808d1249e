"""What each dataset's spec promises: cheap to import, complete, counts that its class list has."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.datasets import SPECS
from harness.datasets.benchmarks.omniglot import _characters
from harness.datasets.preparing.classes import SPLITS, ClassList, published

if TYPE_CHECKING:
    from harness.contract.data import DatasetSpec

LISTED = [spec for spec in SPECS if spec.prepare is not None]


def _classes(spec: DatasetSpec) -> ClassList:
    return _characters() if spec.name == "Omniglot" else published(spec.name)


def test_importing_the_specs_imports_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "PIL", "matplotlib", "pandas", "filelock"]
    code = f"import sys, harness.datasets; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_the_names_are_those_of_the_field() -> None:
    names = ["glyphs", "CIFAR-FS", "FC100", "miniImageNet", "tieredImageNet", "Omniglot", "CUB-200-2011", "folder"]
    assert [spec.name for spec in SPECS] == names


@pytest.mark.parametrize("spec", LISTED, ids=lambda spec: spec.name)
def test_counts_are_those_of_the_class_list(spec: DatasetSpec) -> None:
    classes = _classes(spec)
    assert {split: len(classes.of(split)) for split in SPLITS} == {split: n for split, (n, _) in spec.counts.items()}
    assert len({each.name for each in classes.classes}) == len(classes.classes)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_spec_says_licence_citation_source_and_normalisation(spec: DatasetSpec) -> None:
    assert spec.title
    assert spec.licence
    assert spec.citation
    assert spec.obtain
    assert len(spec.mean) == len(spec.std) == spec.channels
    assert all(0 < value < 1 for value in (*spec.mean, *spec.std))


def test_characters_are_never_mirrored_and_omniglot_never_turned() -> None:
    by_name = {spec.name: spec.augmentation for spec in SPECS}
    assert not by_name["glyphs"].flip
    assert not by_name["Omniglot"].flip
    assert by_name["glyphs"].rotation_keeps_class  # the default bench runs SKD on it
    assert not by_name["Omniglot"].rotation_keeps_class


def test_omniglot_has_all_its_characters_once() -> None:
    names = [each.name for each in _characters().classes]
    assert len(names) == len(set(names)) == 1623
    assert len({name.partition("/")[0] for name in names}) == 50


def test_cifar_superclasses_are_apart_in_fc100_as_its_authors_meant() -> None:
    from harness.datasets.preparing.classes import rows

    of = {split: {row["superclass"] for row in rows("FC100") if row["split"] == split} for split in SPLITS}
    assert [len(of[split]) for split in SPLITS] == [12, 4, 4]
    assert not of["train"] & of["test"]
    assert not of["train"] & of["val"]


def test_both_splits_of_cifar_100_have_all_its_classes() -> None:
    names = [{each.name for each in published(name).classes} for name in ("CIFAR-FS", "FC100")]
    assert names[0] == names[1]
    assert len(names[0]) == 100

"""plugins/finetune: its README names what there is, and offering its methods costs no import of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import harness_finetune
import pytest

ROOT = Path(__file__).parents[2]
METHODS = {spec.name: spec for spec in harness_finetune.harness_methods()}


@pytest.mark.parametrize("name", METHODS)
def test_the_readme_names_the_method_with_every_option_and_preset(name):
    text = (ROOT / "plugins" / "finetune" / "README.md").read_text(encoding="utf-8")
    names = (name, *METHODS[name].options.model_fields, *METHODS[name].presets)
    assert [each for each in names if f"`{each}`" not in text] == []


def test_the_readme_names_the_heads():
    text = (ROOT / "plugins" / "finetune" / "README.md").read_text(encoding="utf-8")
    assert [spec.name for spec in harness_finetune.harness_classifiers() if f"`{spec.name}`" not in text] == []


def test_offering_methods_and_heads_imports_no_torch():
    code = (
        "import sys, harness_finetune as f; f.harness_classifiers();"
        "[m.stages(m.options()) for m in f.harness_methods()]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

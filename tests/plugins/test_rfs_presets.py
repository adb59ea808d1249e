"""plugins/rfs: its presets, and the options that each stage reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_rfs import RFS, RfsOptions, stages

from harness.contract.options import TRAINING_READS
from harness.contract.presets import resolve


@pytest.mark.parametrize(
    ("dataset", "epochs", "decay"),
    [
        ("CIFAR-FS", 90, (45, 60, 75)),
        ("FC100", 90, (45, 60, 75)),
        ("miniImageNet", 100, (60, 80)),
        ("tieredImageNet", 60, (30, 40, 50)),
    ],
)
def test_the_paper_preset_holds_the_published_schedule(dataset, epochs, decay):
    options = resolve(RFS, "paper", dataset)
    assert (options.epochs, options.decay_at, options.decay_factor, options.schedule) == (epochs, decay, 0.1, "step")
    assert (options.optimiser, options.learning_rate, options.momentum) == ("sgd", 0.05, 0.9)
    assert options.weight_decay == 5e-4
    assert (options.batch_size, options.selection, options.images) == (64, "last", None)
    assert (options.generations, options.ce_weight, options.kd_weight, options.temperature) == (2, 0.5, 0.5, 4.0)
    assert RFS.presets["paper"].backbone == "resnet12"
    assert str(RFS.head) == "logistic, l2, 5 views"


def test_each_stage_reads_the_options_that_decide_it_and_no_others():
    simple, *students = stages(RfsOptions(generations=2))
    common = {*TRAINING_READS, "dropblock_masks", "dropblock_counter"}
    assert set(simple.reads) == {*common, "label_smoothing"}
    for student in students:
        assert set(student.reads) == {*common, "ce_weight", "kd_weight", "temperature"}


def test_the_readme_names_every_option_and_preset():
    text = (Path(__file__).parents[2] / "plugins" / "rfs" / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*RfsOptions.model_fields, *RFS.presets) if f"`{name}`" not in text] == []

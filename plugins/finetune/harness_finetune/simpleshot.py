"""SimpleShot: a classifier of the base classes; centred features of length one, and the nearest class mean.

Source: Wang et al. 2019, arXiv:1911.04623, section 3. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

import harness
from harness_finetune.pretraining import QUICK_TRAINING, QUICK_TRAINING_PER_DATASET, build, fit


class SimpleShotOptions(harness.TrainingOptions):
    """Options of SimpleShot."""

    learning_rate: float = Field(0.1, gt=0, description="initial learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty on all weights")
    decay_at: tuple[int, ...] = Field((45, 66), description="epochs after which the step schedule decays")
    batch_size: int = Field(256, gt=0, description="images a step")
    selection: Literal["last", "best-val", "best-val-loss"] = Field(
        "best-val", description="which epoch's weights to keep: the last, or the best on validation episodes"
    )


def stages(options: SimpleShotOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("simpleshot", build, fit)]


SIMPLESHOT = harness.MethodSpec(
    name="simpleshot",
    title="SimpleShot: cross-entropy on the base classes, then nearest class mean of centred unit features",
    paper="arXiv:1911.04623",
    citation=harness.Citation(
        "wang2019simpleshot",
        "Wang, Yan and Chao, Wei-Lun and Weinberger, Kilian Q. and van der Maaten, Laurens",
        "SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning",
        2019,
        "arXiv:1911.04623",
        "misc",
    ),
    options=SimpleShotOptions,
    stages=stages,
    head=harness.Head("nearest-centroid", transform="centre+l2"),
    presets={
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen", QUICK_TRAINING, QUICK_TRAINING_PER_DATASET
        ),
        "paper": harness.Preset("90 epochs of SGD in batches of 256, the best epoch on validation"),
    },
)

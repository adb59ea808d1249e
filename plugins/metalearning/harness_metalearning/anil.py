"""ANIL: MAML whose head alone adapts, on features that do not.

Source: Raghu et al. 2020, arXiv:1909.09157. Departures are listed in this plugin's README.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import harness
from harness import QUICK, QUICK_PER_DATASET
from harness_metalearning.maml import PRESETS, MamlOptions, fit


def stages(options: MamlOptions) -> Sequence[harness.Stage]:
    return [harness.Stage("anil", build, fit)]


def build(context: harness.BuildContext) -> Any:
    from harness_metalearning.adaptation import Anil

    return Anil(context)


ANIL = harness.MethodSpec(
    name="anil",
    title="ANIL: the head alone adapts to an episode by a few steps of gradient descent",
    paper="arXiv:1909.09157",
    citation=harness.Citation(
        "raghu2020rapid",
        "Raghu, Aniruddh and Raghu, Maithra and Bengio, Samy and Vinyals, Oriol",
        "Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML",
        2020,
        "International Conference on Learning Representations",
    ),
    options=MamlOptions,
    stages=stages,
    head=None,
    check=harness.check_training_episodes,
    presets={
        **PRESETS,
        "quick": harness.Preset(
            "minutes on two CPU cores, counted in images seen",
            {
                **QUICK,
                "meta_batch": 2,
                "train_query": 5,
                "inner_steps": 5,
                "test_steps": 5,
                "inner_rate": 0.02,
                "learning_rate": 0.003,
            },
            QUICK_PER_DATASET,
        ),
    },
)

"""A stage of plugins/metalearning that was trained on a few episodes, and how well it tells their classes apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.episodes import EpisodeSpec
from harness.contract.methods import BuildContext, FitContext
from harness.episodes.sampler import sample_episodes
from harness.evaluation.evaluator import Evaluator
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

WAY, SHOT, QUERY = 4, 2, 3
HARDWARE = choose_hardware("cpu", "32", 1)
CONV4 = next(spec for spec in SPECS if spec.name == "conv4")


def conv4():
    return CONV4.build(BackboneRequest(16))


class Fitted:
    """A learner after ``epochs`` of one step, episodes of 4 classes with 2 + 3 images each."""

    def __init__(self, method, data, backbone=None, **values):
        shape = {"train_way": WAY, "train_shot": SHOT, "train_query": QUERY, "steps_per_epoch": 1}
        self.options = method.options(**{**shape, "schedule": "constant", "learning_rate": 3e-3, **values})
        (stage,) = method.stages(self.options)
        self._fit(method, stage, data, (), backbone)

    def _fit(self, method, stage, data, parents, backbone=None):
        build = BuildContext(data.spec, data.train.n_classes, self.options, backbone or conv4)
        with seeded(0, method.name):
            self.learner = stage.build(build)
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        fit = FitContext(**vars(build), train=data.train, val=None, parents=parents, seed=0, trainer=self.trainer)
        stage.fit(fit, self.learner)


def fitted_after(method, data, **values):
    """The stages of a method, each trained after the one before."""
    stages, parents = [], ()
    for stage in method.stages(method.options(**values)):
        fitted = Fitted.__new__(Fitted)
        fitted.options = method.options(**values)
        fitted._fit(method, stage, data, parents)
        stages.append(fitted)
        parents = (fitted.learner,)
    return stages


def four_classes(data):
    """Four of the base classes, with ten images each."""
    rows = np.concatenate([np.arange(10) + 24 * label for label in range(WAY)])
    train = data.train
    train = replace(train, images=train.images[rows], labels=train.labels[rows], class_names=train.class_names[:WAY])
    return replace(data, train=train)


def accuracy(learner, data, head=None):
    """Mean accuracy on episodes of the base classes that it was trained on, 0..1."""
    spec = EpisodeSpec(WAY, SHOT, QUERY)
    episodes = sample_episodes(data.train, spec, 10, seed=0)
    with torch.random.fork_rng():
        (score,) = Evaluator(learner, data.train).scores([episodes], head)
    return score.accuracies.mean()

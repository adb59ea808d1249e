"""Stages of SKD that are trained for a few steps, and their losses by hand."""

from __future__ import annotations

import numpy as np
import torch
from harness_skd import SkdOptions, stages

from harness.common.randomness import numpy_generator, seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.batches import ShuffledBatches
from harness.contract.methods import BuildContext, FitContext
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

HARDWARE = choose_hardware("cpu", "32", 1)
BUILD = {spec.name: spec.build for spec in SPECS}
B = 16  # images a step


class Fitted:
    """A stage that was trained for a few steps, and what its network met on the way."""

    def __init__(self, data, stage, parent=None, backbone="conv4", seed=0, start=None, **values):
        values = {"batch_size": B, "epochs": 1, "gen1_epochs": 1, "schedule": "constant", **values}
        self.options = SkdOptions(**values)
        self.stage = next(each for each in stages(self.options) if each.name == stage)
        build = BuildContext(
            data.spec, data.train.n_classes, self.options, lambda: BUILD[backbone](BackboneRequest(16))
        )
        with seeded(seed, "init", stage):
            self.network = self.stage.build(build)
        if start is not None:
            start(self.network)
        self.inputs, self.outputs = [], []
        self.network.register_forward_hook(self._record)
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        context = FitContext(
            **vars(build),
            train=data.train,
            val=None,
            parents=(parent,) if parent is not None else (),
            seed=0,
            trainer=self.trainer,
        )
        self.stage.fit(context, self.network)
        self.losses = self.trainer.history[0]

    def _record(self, network, inputs, outputs):
        self.inputs.append(inputs[0].detach().clone())
        self.outputs.append([output.detach().double().numpy().copy() for output in outputs])


def first_labels(data):
    """The labels of a training's first batch."""
    return data.train.labels[ShuffledBatches(B).epoch(data.train, numpy_generator(1, "order", 1, 0))[0]]


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(logits, labels):
    return -np.log(softmax(logits)[np.arange(len(labels)), labels]).mean()


def binary_cross_entropy(q, which):
    """Mean over rows and outputs, by the definition."""
    total = 0.0
    for row, right in zip(q, which, strict=True):
        for output, value in enumerate(row):
            probability = 1 / (1 + np.exp(-value))
            total -= np.log(probability if output == right else 1 - probability)
    return total / q.size


def state(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)

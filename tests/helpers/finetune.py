"""Stages of the plugin finetune that are trained for a few steps, and what their networks gave on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.methods import BuildContext, FitContext
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

HARDWARE = choose_hardware("cpu", "32", 1)
CONV4 = next(spec for spec in SPECS if spec.name == "conv4")
B = 16  # images a step
SHORT = {"batch_size": B, "schedule": "constant", "optimiser": "sgd", "selection": "last"}


class Fitted:
    """A stage that was trained for a few steps. ``inputs`` and ``outputs`` are its network's, in order."""

    def __init__(self, data, method, stage, parent=None, seed=0, **values):
        given = {**SHORT, "learning_rate": 0.05, **values}
        self.options = method.options(**given)
        chosen = next(each for each in method.stages(self.options) if each.name == stage)
        build = BuildContext(data.spec, data.train.n_classes, self.options, lambda: CONV4.build(BackboneRequest(16)))
        with seeded(seed, stage):
            self.network = chosen.build(build)
        self.inputs, self.outputs = [], []
        self.network.register_forward_hook(self._record)
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        parents = (parent,) if parent is not None else ()
        chosen.fit(
            FitContext(**vars(build), train=data.train, val=None, parents=parents, seed=0, trainer=self.trainer),
            self.network,
        )
        self.losses = self.trainer.history[0]
        self.last = self.trainer.history[-1]

    def _record(self, network, inputs, outputs):
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        self.inputs.append(inputs[0].detach().clone())
        self.outputs.append([output.detach().double().numpy().copy() for output in outputs])


def part(data, n_classes=4, n_images=4):
    """The first images of the first base classes."""
    per_class = len(data.train) // data.train.n_classes
    index = np.concatenate([np.arange(n_images) + per_class * label for label in range(n_classes)])
    train = replace(
        data.train,
        images=data.train.images[index],
        labels=data.train.labels[index],
        class_names=data.train.class_names[:n_classes],
    )
    return replace(data, train=train)


def noise(data):
    """Images whose classes have nothing in common, so that there is something to lose."""
    images = np.random.default_rng(0).integers(0, 256, data.train.images.shape, dtype=np.uint8)
    return replace(data, train=replace(data.train, images=images))


def cross_entropy(logits, labels):
    """Mean over rows, by the definition; logits (N, C), labels (N,)."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, labels, strict=True)])

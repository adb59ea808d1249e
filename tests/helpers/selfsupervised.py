"""Methods of plugins/selfsupervised that are trained for a few steps, and what their networks gave on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.methods import BuildContext, FitContext
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

HARDWARE = choose_hardware("cpu", "32", 1)
BUILD = {spec.name: spec.build for spec in SPECS}
B = 8  # images a step


class Fitted:
    """A method's only stage after a few steps. ``outputs`` are its network's, step by step."""

    def __init__(self, spec, data, backbone="conv4", **values):
        values = {"batch_size": B, "epochs": 1, "schedule": "constant", "images": None, **values}
        self.options = spec.options(**values)
        (stage,) = spec.stages(self.options)
        build = BuildContext(
            data.spec, data.train.n_classes, self.options, lambda: BUILD[backbone](BackboneRequest(16))
        )
        with seeded(0, "init"):
            self.network = stage.build(build)
        self.first = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.outputs = []
        self.network.register_forward_hook(lambda _, __, output: self.outputs.append(detached(output)))
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        about = {"train": data.train, "val": None, "parents": (), "seed": 0, "trainer": self.trainer}
        stage.fit(FitContext(**vars(build), **about), self.network)
        self.losses = self.trainer.history[0]


def few(data, n_classes=4, n_images=2):
    """So many images of so many classes, which make one batch of ``B``."""
    some = np.concatenate([np.arange(n_images) + 24 * label for label in range(n_classes)])
    train = replace(
        data.train,
        images=data.train.images[some],
        labels=data.train.labels[some],
        class_names=data.train.class_names[:n_classes],
    )
    return replace(data, train=train)


def distinct(data, n_images=8):
    """So many images of one class, each a pattern of four by four colours of its own."""
    coarse = np.random.default_rng(0).integers(0, 256, (n_images, 4, 4, 3), dtype=np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    train = replace(data.train, images=images, labels=np.zeros(n_images, np.int64), class_names=("all",))
    return replace(data, train=train)


def detached(output):
    if isinstance(output, torch.Tensor):
        return output.detach()
    return type(output)(map(detached, output))


def double(values):
    return values.double().numpy()


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def normalised(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random(*shape, seed=0, **about):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, **about)

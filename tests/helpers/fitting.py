"""A method's stage trained for a few steps in the real loop, and what it makes of episodes of the classes it saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.episodes import EpisodeSpec
from harness.contract.methods import BuildContext, FitContext, MethodSpec
from harness.episodes.sampler import sample_episodes
from harness.evaluation.evaluator import Evaluator
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

if TYPE_CHECKING:
    import torch

    from harness.contract.data import Dataset

HARDWARE = choose_hardware("cpu", "32", 1)


class Pooled(nn.Sequential):
    """A backbone that learns nothing and costs nothing: images (N, 3, 16, 16) in 4×4 places."""

    n_features = 48

    def __init__(self) -> None:
        super().__init__(nn.AvgPool2d(4), nn.Flatten())


BUILD = {spec.name: spec.build for spec in SPECS} | {"pooled": lambda request: Pooled()}


@dataclass
class Fitted:
    network: Any
    trainer: Trainer
    outputs: list[torch.Tensor]  # of the network's forwards in training, float64, in their order

    @property
    def losses(self) -> list[float]:
        """The mean loss of each epoch."""
        return [row["loss"] for row in self.trainer.history]


def built(spec: MethodSpec, data: Dataset, backbone: str = "conv4", **values: Any) -> tuple[Any, BuildContext]:
    """The untrained learner of a method's only stage, and what it was built from."""
    options = spec.options(**values)
    (stage,) = spec.stages(options)
    assert data.train is not None
    size = data.spec.image_size
    context = BuildContext(
        data.spec, data.train.n_classes, options, lambda: BUILD[backbone](BackboneRequest(size, data.spec.channels))
    )
    with seeded(0, stage.name):
        return stage.build(context), context


def fitted(spec: MethodSpec, data: Dataset, backbone: str = "conv4", **values: Any) -> Fitted:
    """The learner of a method's only stage after training."""
    network, context = built(spec, data, backbone, **values)
    outputs: list[torch.Tensor] = []
    hook = network.register_forward_hook(lambda _, __, out: outputs.append(out.detach().double()))
    trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
    (stage,) = spec.stages(context.options)
    assert stage.fit is not None
    stage.fit(FitContext(**vars(context), train=data.train, val=None, parents=(), seed=0, trainer=trainer), network)
    hook.remove()
    return Fitted(network, trainer, outputs)


def accuracy_on_base(network: Any, data: Dataset, n_way: int = 4, k_shot: int = 1, head: Any = None) -> float:
    """Mean accuracy on 20 episodes of the classes that a learner was trained on."""
    assert data.train is not None
    episodes = sample_episodes(data.train, EpisodeSpec(n_way, k_shot, 3), 20, seed=0)
    (score,) = Evaluator(network, data.train).scores([episodes], head)
    return float(score.accuracies.mean())


def noise(data: Dataset, n_classes: int = 4, n_images: int = 6) -> Dataset:
    """A few base classes whose images have nothing in common, so that only learning them by heart tells them apart."""
    assert data.train is not None
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_classes * n_images, *data.train.images.shape[1:]), dtype=np.uint8)
    train = replace(
        data.train,
        images=images,
        labels=np.repeat(np.arange(n_classes), n_images),
        class_names=data.train.class_names[:n_classes],
    )
    return replace(data, train=train)

"""The two floors."""

from __future__ import annotations

import torch

from harness.catalogue.floors import SPECS
from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.data import DatasetSpec
from harness.contract.heads import Head
from harness.contract.learners import Embedder
from harness.contract.methods import BuildContext
from harness.contract.options import MethodOptions
from harness.contract.presets import resolve
from harness.networks.backbones import SPECS as BACKBONES


def no_data(request):
    raise NotImplementedError


def learner(name: str, seed: int = 0):
    (spec,) = (spec for spec in SPECS if spec.name == name)
    (stage,) = spec.stages(resolve(spec, "quick", "glyphs"))
    conv4 = next(backbone for backbone in BACKBONES if backbone.name == "conv4")
    dataset = DatasetSpec("tiny", "", 32, no_data)
    context = BuildContext(dataset, 3, MethodOptions(), lambda: conv4.build(BackboneRequest(32)))
    with seeded(seed):
        return stage.build(context)


def test_floors_train_nothing_and_have_heads_with_nothing_to_tune():
    """Nearest centroid for both; only features of a network are brought to one length."""
    for spec, transform in zip(SPECS, ("none", "l2"), strict=True):
        assert spec.floor
        assert spec.head == Head("nearest-centroid", transform, views=1)
        assert [stage.fit for stage in spec.stages(MethodOptions())] == [None]
    assert [spec.uses_backbone for spec in SPECS] == [False, True]


def test_floors_are_embedders():
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    for name, n_features in (("pixels", 3072), ("untrained", 256)):
        network = learner(name).eval()
        assert isinstance(network, Embedder)
        assert network.embed(images).shape == (2, n_features)


def test_a_seed_decides_the_random_backbone():
    first, again, other = (learner("untrained", seed).state_dict() for seed in (0, 0, 1))
    weight = "backbone.blocks.0.0.weight"
    assert torch.equal(first[weight], again[weight])
    assert not torch.equal(first[weight], other[weight])

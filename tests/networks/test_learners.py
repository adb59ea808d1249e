"""The networks that methods build on."""

from __future__ import annotations

import pytest
import torch

from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.data import DatasetSpec
from harness.contract.learners import Embedder
from harness.contract.methods import BuildContext
from harness.contract.options import MethodOptions
from harness.images.augment import normalise
from harness.networks.backbones import SPECS
from harness.networks.learners import ClassifierNetwork, FeatureNetwork, Pixels, in_float32

BUILD = {spec.name: spec.build for spec in SPECS}


def no_data(request):
    raise NotImplementedError


def context(backbone: str = "conv4", size: int = 32, n_classes: int = 7) -> BuildContext:
    dataset = DatasetSpec("tiny", "", size, no_data, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return BuildContext(dataset, n_classes, MethodOptions(), lambda: BUILD[backbone](BackboneRequest(size)))


def build(kind: type, **wanted) -> torch.nn.Module:
    with seeded(0, "networks"):
        return kind(context(**wanted)).to(memory_format=torch.channels_last)


def some_images(n: int, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("backbone", ["conv4", "resnet12"])
def test_an_images_features_do_not_depend_on_its_batch(backbone: str):
    network, images = build(FeatureNetwork, backbone=backbone).eval(), some_images(12)
    with torch.inference_mode():
        together = network.embed(images)
        alone = torch.cat([network.embed(images[i : i + 1]) for i in range(12)])
    assert together.shape == (12, network.n_features)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_embedding_is_the_backbone_on_normalised_images():
    network, images = build(FeatureNetwork).eval(), some_images(5)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    with torch.inference_mode():
        expected = network.backbone((images.permute(0, 3, 1, 2) / 255 - mean[:, None, None]) / std[:, None, None])
        torch.testing.assert_close(network.embed(images), expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(network.embed(images), network(normalise(images, network.mean, network.std)))


def test_features_and_logits_are_float32_under_bf16():
    network = build(ClassifierNetwork).eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        features, logits = network(torch.randn(3, 3, 32, 32))
        assert network.embed(some_images(3)).dtype == torch.float32
    assert features.dtype == logits.dtype == torch.float32
    assert logits.shape == (3, 7)
    with torch.inference_mode():
        torch.testing.assert_close(logits, network.classifier(features))


def test_a_head_in_float32_keeps_the_digits_that_bf16_drops():
    layer = torch.nn.Linear(4, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    inputs = torch.tensor([[1.0, 2**-12, 0, 0]])
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(layer(inputs)) == 1
        assert float(in_float32(layer, inputs)) == 1 + 2**-12


def test_normalisation_is_not_among_the_weights():
    names = build(ClassifierNetwork).state_dict().keys()
    assert {name.partition(".")[0] for name in names} == {"backbone", "classifier"}


def test_weights_restore_the_network():
    first, images = build(ClassifierNetwork).eval(), some_images(4)
    with seeded(99):
        second = ClassifierNetwork(context()).eval()
    second.load_state_dict(first.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(second.embed(images), first.embed(images))


def test_gradients_reach_every_weight():
    network = build(ClassifierNetwork, backbone="resnet12").train()
    with seeded(0):
        features, logits = network(torch.randn(4, 3, 32, 32))
    (logits.square().sum() + features.sum()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def test_pixels_are_the_pixels():
    images = some_images(3, 5)
    features = Pixels().embed(images)
    assert features.shape == (3, 75)
    torch.testing.assert_close(features, images.view(3, 75).double().div(255).float())
    assert isinstance(Pixels(), Embedder)
    assert not Pixels().state_dict()


@pytest.mark.parametrize(
    ("backbone", "size", "shape"),
    [
        ("conv4", 32, (64, 2, 2)),
        ("conv4-np", 32, (64, 8, 8)),
        ("conv4-gap", 32, (64, 4, 4)),
        ("resnet12", 32, (640, 2, 2)),
    ],
)
def test_features_are_made_of_the_backbones_maps(backbone, size, shape):
    network = build(FeatureNetwork, backbone=backbone, size=size).eval()
    images = some_images(3, size)
    with torch.inference_mode():
        maps = network.maps(network.normalised(images))
        features = maps.flatten(1) if backbone in ("conv4", "conv4-np") else maps.mean((2, 3))
        torch.testing.assert_close(features, network.embed(images), rtol=1e-4, atol=1e-5)
    assert maps.shape == (3, *shape)


def test_a_backbone_without_maps_has_its_features_for_them():
    class Plain(torch.nn.Module):
        n_features = 5

        def forward(self, images):
            return images.flatten(1)[:, :5]

    network = FeatureNetwork(BuildContext(context().dataset, 7, MethodOptions(), Plain))
    images = network.normalised(some_images(2))
    assert torch.equal(network.maps(images), network(images)[:, :, None, None])

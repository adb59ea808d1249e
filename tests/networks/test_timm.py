"""timm's networks, and their weights from files and from its cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.common.errors import DataError, HarnessError
from harness.networks.backbones.timm_models import cached_weights
from harness.networks.backbones.weights import load_weights
from tests.helpers.networks import build, untrained

pytestmark = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_timm_models_embed_small_images(name: str):
    network = untrained("timm", 32, 3, name)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, network.n_features)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "needs a model's name"),
        ("resnt18", "unknown timm model 'resnt18'. Did you mean 'resnet18'"),
        ("inception_v3", "does not take images of 32×32 pixels"),
    ],
)
def test_timm_models_that_cannot_serve_say_why(name: str | None, message: str):
    with pytest.raises(HarnessError, match=message) as error:
        untrained("timm", 32, 3, name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "size"), [("resnet10t", 32), ("resnet10t.c3_in1k", 32), ("vit_tiny_patch16_224", 32)])
def test_timms_own_files_start_a_timm_backbone(name: str, size: int, tmp_path: Path):
    import timm

    kwargs = {"img_size": size} if "vit" in name else {}
    source = timm.create_model(name, num_classes=10, **kwargs).eval()
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pth")
    network = build("timm", 3, size, 3, name)
    line = load_weights(network, tmp_path / "w.pth")
    images = torch.rand(2, 3, size, size)
    with torch.inference_mode():
        expected = source.forward_head(source.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.eval()(images), expected)
    assert "ignored: 2 of heads and other parts" in line


def test_a_vit_of_another_image_size_is_resampled_as_timm_does(tmp_path: Path):
    import timm

    source = timm.create_model("vit_tiny_patch16_224")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    network = build("timm", 3, 64, 3, "vit_tiny_patch16_224")
    load_weights(network, tmp_path / "w.pth")
    assert network.model.pos_embed.shape == (1, 17, 192)
    assert torch.equal(network.model.patch_embed.proj.weight, source.patch_embed.proj.weight)
    assert torch.equal(network.model.pos_embed[:, :1], source.pos_embed[:, :1])


def test_weights_of_another_timm_model_are_refused(tmp_path: Path):
    import timm

    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataError, match="not of this backbone"):
        load_weights(build("timm", 0, 32, 3, "resnet18"), tmp_path / "w.pth")


def test_pretrained_weights_are_those_of_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub.constants
    import timm

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))
    with pytest.raises(HarnessError, match=r"are not in timm's cache.*pretrained=True\)") as error:
        cached_weights("resnet18")
    assert "\n" not in str(error.value)

    old = tmp_path / "torch" / "checkpoints" / "resnet18_a1_0-d63eafa0.pth"
    old.parent.mkdir(parents=True)
    torch.save(timm.create_model("resnet18").state_dict(), old)
    assert cached_weights("resnet18") == old
    network = build("timm", 1, 32, 3, "resnet18")
    load_weights(network, cached_weights("resnet18"))

    snapshot = tmp_path / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    save_file(timm.create_model("resnet18").state_dict(), snapshot / "model.safetensors")
    assert cached_weights("resnet18") == snapshot / "model.safetensors"


@pytest.mark.parametrize(
    ("name", "message"), [("resnt18", "Did you mean .resnet18."), ("resnet18d_no", "unknown timm")]
)
def test_pretrained_weights_of_unknown_models_are_told(name: str, message: str):
    with pytest.raises(HarnessError, match=message):
        cached_weights(name)

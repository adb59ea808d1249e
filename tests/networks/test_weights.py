"""Weights in the files that people have: whatever wraps and names them, the network is the one that was saved."""

from __future__ import annotations

import argparse
import collections
import datetime
import importlib.util
import pathlib
import pickle
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.common.errors import DataError, HarnessError
from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.networks.backbones import SPECS
from harness.networks.backbones.timm_models import cached_weights
from harness.networks.backbones.weights import load_weights

BUILD = {spec.name: spec.build for spec in SPECS}
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


def build(name: str, seed: int = 0, size: int = 32, channels: int = 3, argument: str | None = None) -> nn.Module:
    with seeded(seed, name):
        network = BUILD[name](BackboneRequest(size, channels, argument))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # as after a training
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.8, 1.2)
                module.bias.data.uniform_(-0.1, 0.1)
    return network


def features(network: nn.Module, size: int = 32, channels: int = 3) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(torch.rand(4, channels, size, size, generator=torch.Generator().manual_seed(0)))


# ── networks as other people's code names them ────────────────────────────────────────────────────


class RfsBlock(nn.Module):
    """A block of ResNet-12 as in the code of RFS and SKD: convolutions and norms by number, then the pooling."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.conv3, self.bn3 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.leaky_relu(self.bn1(self.conv1(x)), 0.1)
        out = nn.functional.leaky_relu(self.bn2(self.conv2(out)), 0.1)
        out = nn.functional.leaky_relu(self.bn3(self.conv3(out)) + self.downsample(x), 0.1)
        return nn.functional.max_pool2d(out, 2)


class RfsResNet12(nn.Module):
    def __init__(self, n_classes: int = 64, sequential: bool = True) -> None:
        super().__init__()
        widths = (3, 64, 160, 320, 640)
        for number in range(4):
            block = RfsBlock(widths[number], widths[number + 1])
            setattr(self, f"layer{number + 1}", nn.Sequential(block) if sequential else block)
        self.classifier = nn.Linear(640, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


class ChenBlock(nn.Module):
    """A block of Conv4 as in Chen et al.'s code, where each module has two names."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.C, self.BN = nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.trunk = nn.Sequential(self.C, self.BN, nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x)


class ChenConv4(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(ChenBlock(64 if block else 3) for block in range(4)), nn.Flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.trunk(x)


class RfsConv4(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for number in range(1, 5):
            parts = nn.Conv2d(3 if number == 1 else 64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
            setattr(self, f"layer{number}", nn.Sequential(*parts, *([nn.MaxPool2d(2)] if number < 4 else [])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))


def snell_conv4() -> nn.Module:
    def block(n_in: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2))

    return nn.Sequential(*(block(64 if number else 3) for number in range(4)), nn.Flatten())


def trained(network: nn.Module) -> nn.Module:
    network.train()
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32) + 0.5)  # moves the statistics off their start
    return network


@pytest.mark.parametrize(
    ("name", "make", "prefix", "told"),
    [
        ("resnet12", RfsResNet12, "", "in RFS, SKD and FEAT"),
        ("resnet12", RfsResNet12, "module.", "without 'module.'"),
        ("resnet12", lambda: RfsResNet12(sequential=False), "encoder.", "in Meta-Baseline"),
        ("conv4", ChenConv4, "feature.", "in Chen et al.'s code"),
        ("conv4", snell_conv4, "encoder.", "in Snell et al.'s code"),
        ("conv4-gap", RfsConv4, "module.", "in RFS"),
    ],
)
def test_networks_of_other_code_keep_their_features(name: str, make: Any, prefix: str, told: str, tmp_path: Path):
    source = trained(make())
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save({"epoch": 90, "state_dict": state}, tmp_path / "best.pth")
    network = build(name, 1)
    line = load_weights(network, tmp_path / "best.pth")
    torch.testing.assert_close(features(network), features(source), rtol=1e-4, atol=1e-4)
    assert told in line
    assert "\n" not in line


# ── forms of files ────────────────────────────────────────────────────────────────────────────────


def as_rfs_saves(state: Any) -> Any:
    return {"opt": argparse.Namespace(model="resnet12", lr=0.05, gpus="0"), "model": state}


class EasyDict(dict):
    """Pickled as the package easydict's: by name, with its items and as many attributes."""

    __module__ = "easydict"

    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.__dict__.update(items)


@pytest.fixture(autouse=True)
def easydict_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "easydict", types.SimpleNamespace(EasyDict=EasyDict))


WRAPS = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {0: torch.ones(2)}}},
    "model, with argparse's options": as_rfs_saves,
    "params": lambda state: {"params": state},
    "net": lambda state: {"net": state, "acc": 71.2},
    "nested twice": lambda state: {"checkpoint": {"model_state": state}},
    "numpy numbers": lambda state: {"state": state, "best": np.float64(0.7), "curve": np.arange(3.0)},
    "odd settings": lambda state: {
        "model": state,
        "root": pathlib.PurePosixPath("/data"),
        "log": collections.defaultdict(list, {"loss": [1.0]}),
        "args": types.SimpleNamespace(a=1),
        "config": EasyDict(lr=0.1),
        "date": datetime.datetime(2020, 1, 1),
    },
}
PREFIXES = ["", "module.", "backbone.", "encoder.", "feature.", "module.backbone.encoder."]


@pytest.mark.parametrize("ending", ["pth", "pt", "tar", "ckpt", "bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_ending_and_both_forms_of_torch_are_read(ending: str, zipped: bool, tmp_path: Path):
    source, file = build("conv4", 1), tmp_path / f"weights.{ending}"
    torch.save(as_rfs_saves(source.state_dict()), file, _use_new_zipfile_serialization=zipped)
    network = build("conv4", 2)
    load_weights(network, file)
    assert torch.equal(features(network), features(source))


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_are_found_whatever_wraps_them_and_stands_before_their_names(wrap: str, prefix: str, tmp_path: Path):
    source, file = build("conv4", 1), tmp_path / "weights.pth"
    state = {prefix + name: value for name, value in source.state_dict().items()}
    state |= {"classifier.weight": torch.zeros(3, 256), f"{prefix}fc.bias": torch.zeros(3)}
    torch.save(WRAPS[wrap](state), file)
    network = build("conv4", 2)
    line = load_weights(network, file)
    assert torch.equal(features(network), features(source))
    assert "ignored: 2 of heads and other parts, '" in line


def test_safetensors_are_read_whatever_their_ending(tmp_path: Path):
    source = build("conv4", 1)
    save_file(source.state_dict(), tmp_path / "weights.bin")
    network = build("conv4", 2)
    load_weights(network, tmp_path / "weights.bin")
    assert torch.equal(features(network), features(source))


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_dropblocks_schedule_begins_anew(tmp_path: Path, prefix: str):
    source = build("resnet12").train()
    source(torch.randn(2, 3, 32, 32))
    save_file({prefix + name: value for name, value in source.state_dict().items()}, tmp_path / "w.safetensors")
    target = build("resnet12", 1)
    load_weights(target, tmp_path / "w.safetensors")
    for name, value in target.state_dict().items():
        if name.endswith("drop_steps"):
            assert int(value) == 0
        else:
            assert torch.equal(value, source.state_dict()[name])


def test_counts_that_old_files_lack_are_not_asked_for(tmp_path: Path):
    source = build("conv4", 1)
    state = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "old.pth")
    network = build("conv4", 2)
    load_weights(network, tmp_path / "old.pth")
    assert torch.equal(features(network), features(source))


def test_half_precision_is_widened(tmp_path: Path):
    source = build("conv4", 1)
    torch.save(source.half().state_dict(), tmp_path / "half.pth")
    network = build("conv4", 2)
    load_weights(network, tmp_path / "half.pth")
    assert torch.equal(features(network), features(source.float()))
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


class Touch:
    """Pickled, it creates a file when it is unpickled by pickle itself."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return pathlib.Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(zipped: bool, tmp_path: Path):
    file, proof = tmp_path / "evil.pth", tmp_path / "proof"
    content = {"model": build("conv4").state_dict(), "opt": Touch(proof)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    torch.load(file, weights_only=False)
    assert proof.exists()  # the file is as dangerous as it is meant to be
    proof.unlink()
    with pytest.raises(DataError, match="which only code can make, and no code is run from a file of weights") as error:
        load_weights(build("conv4"), file)
    assert not proof.exists()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen", "torch.load"])
def test_names_of_code_are_refused(name: str, tmp_path: Path):
    file = tmp_path / "evil.pth"
    module, _, attribute = name.rpartition(".")
    file.write_bytes(b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"X\x04\x00\x00\x00true\x85R.")
    with pytest.raises(DataError) as error:
        load_weights(build("conv4"), file)
    assert "\n" not in str(error.value)


def test_a_whole_pickled_module_is_refused_with_what_to_do(tmp_path: Path):
    torch.save(ChenConv4(), tmp_path / "model.pth")
    with pytest.raises(DataError, match=r"ChenConv4, which only code can make.*torch\.save\(model\.state_dict\(\)"):
        load_weights(build("conv4"), tmp_path / "model.pth")


def test_torchs_own_allowances_are_as_before(tmp_path: Path):
    before = set(torch.serialization.get_safe_globals())
    torch.save(as_rfs_saves(build("conv4").state_dict()), tmp_path / "w.pth")
    load_weights(build("conv4"), tmp_path / "w.pth")
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError, match="argparse"):
        torch.load(tmp_path / "w.pth", weights_only=True)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path):
    conv4, file = build("conv4"), tmp_path / "weights.pth"
    own = dict(conv4.state_dict())

    def refusal(content: Any) -> str:
        torch.save(content, file)
        before = {name: value.clone() for name, value in conv4.state_dict().items()}
        with pytest.raises(DataError) as error:
            load_weights(conv4, file)
        assert all(torch.equal(value, before[name]) for name, value in conv4.state_dict().items())
        assert "\n" not in str(error.value)
        return str(error.value)

    partial = {name: value for name, value in own.items() if not name.startswith("blocks.3.")}
    assert "6 of its 28 tensors are missing, 'blocks.3.0.bias' first" in refusal(partial)
    assert "1 are unexpected, 'blocks.9.0.weight' first" in refusal({**own, "blocks.9.0.weight": torch.zeros(1)})
    grey = build("conv4", channels=1).state_dict()
    assert (
        "1 have another shape, 'blocks.0.0.weight' first: (64, 1, 3, 3), this backbone needs (64, 3, 3, 3)"
        in refusal({"model": grey})
    )
    mixed = {**{name: value for name, value in grey.items() if name != "blocks.1.0.bias"}, "blocks.9.x": torch.ones(1)}
    line = refusal(mixed)
    assert (
        "1 of its 28 tensors are missing, 'blocks.1.0.bias' first; 1 are unexpected, 'blocks.9.x' first; 1 have" in line
    )
    assert "none of its 28 tensors is among the 2 of the file (there: 'weight'" in refusal(nn.Linear(2, 2).state_dict())
    assert "holds no dict of tensors" in refusal({"epoch": 3})
    assert "holds no dict of tensors" in refusal([torch.ones(1)])
    assert "not finite, 'blocks.0.0.bias' first" in refusal({**own, "blocks.0.0.bias": torch.full((64,), torch.nan)})
    assert "1 are unexpected, 'layer1.0.se.fc.0.weight'" in _refused_resnet12(tmp_path)


def _refused_resnet12(tmp_path: Path) -> str:
    """A ResNet-12 with squeeze-and-excitation is another network, though it holds all of this one."""
    torch.save({**RfsResNet12().state_dict(), "layer1.0.se.fc.0.weight": torch.ones(16, 64)}, tmp_path / "se.pth")
    with pytest.raises(DataError) as error:
        load_weights(build("resnet12"), tmp_path / "se.pth")
    return str(error.value)


def test_of_several_networks_none_is_guessed(tmp_path: Path):
    file = tmp_path / "two.pth"
    one, two = build("conv4", 1).state_dict(), build("conv4", 2).state_dict()
    for content in (
        {"state_dict": one, "state_dict_ema": two},
        {
            f"{who}.{name}": value
            for who, state in (("student", one), ("teacher", two))
            for name, value in state.items()
        },
        {**one, **{f"teacher.{name}": value for name, value in two.items()}},
    ):
        torch.save(content, file)
        with pytest.raises(DataError, match="holds 2 networks that fit, at "):
            load_weights(build("conv4"), file)
    torch.save({"state_dict": one, "copy": {name: value.clone() for name, value in one.items()}}, file)
    load_weights(build("conv4"), file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "begins with nothing"),
        (b"not weights at all", "neither a safetensors file nor one of torch.save"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{not json", "not a safetensors file"),
        (b"PK\x03\x04 no zip", "not a file that torch.load can read"),
        (b"\x80\x02 no pickle", "weights "),
    ],
)
def test_files_that_hold_no_weights_are_told_in_one_line(content: bytes | None, message: str, tmp_path: Path):
    file = tmp_path / "weights.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load_weights(build("conv4"), file)
    assert "\n" not in str(error.value)


def test_a_folder_is_no_file_of_weights(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(build("conv4"), tmp_path)


def test_torchscript_is_refused(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop it; files of it remain
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "model.pt")
    with pytest.raises(DataError, match="TorchScript"):
        load_weights(build("conv4"), tmp_path / "model.pt")


def test_a_cut_file_is_refused(tmp_path: Path):
    file = tmp_path / "weights.pth"
    torch.save(build("conv4").state_dict(), file)
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"not a file that torch\.load can read"):
        load_weights(build("conv4"), file)


# ── timm ──────────────────────────────────────────────────────────────────────────────────────────


@needs_timm
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


@needs_timm
def test_a_vit_of_another_image_size_is_resampled_as_timm_does(tmp_path: Path):
    import timm

    source = timm.create_model("vit_tiny_patch16_224")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    network = build("timm", 3, 64, 3, "vit_tiny_patch16_224")
    load_weights(network, tmp_path / "w.pth")
    assert network.model.pos_embed.shape == (1, 17, 192)
    assert torch.equal(network.model.patch_embed.proj.weight, source.patch_embed.proj.weight)
    assert torch.equal(network.model.pos_embed[:, :1], source.pos_embed[:, :1])


@needs_timm
def test_weights_of_another_timm_model_are_refused(tmp_path: Path):
    import timm

    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataError, match="not of this backbone"):
        load_weights(build("timm", 0, 32, 3, "resnet18"), tmp_path / "w.pth")


@needs_timm
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


@needs_timm
@pytest.mark.parametrize(
    ("name", "message"), [("resnt18", "Did you mean .resnet18."), ("resnet18d_no", "unknown timm")]
)
def test_pretrained_weights_of_unknown_models_are_told(name: str, message: str):
    with pytest.raises(HarnessError, match=message):
        cached_weights(name)

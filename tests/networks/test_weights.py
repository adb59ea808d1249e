"""Weights in the files that people have: whatever wraps and names them, the network is the one that was saved."""

from __future__ import annotations

import collections
import datetime
import pathlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.networks.backbones.weights import load_weights
from tests.helpers.networks import as_rfs_saves, build, features


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

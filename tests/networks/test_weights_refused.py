"""Weights that run code, do not fit or are none: each is one line, and nothing of it is run."""

from __future__ import annotations

import pathlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.common.errors import DataError
from harness.networks.backbones.weights import load_weights
from tests.helpers.networks import ChenConv4, RfsResNet12, as_rfs_saves, build


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

"""Start a backbone from given weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import DataError

if TYPE_CHECKING:
    import torch


def load_weights(backbone: torch.nn.Module, file: Path) -> None:
    """Start ``backbone`` from the weights in a safetensors file, DropBlock's schedule from its beginning.

    The file holds the backbone's own state dict, or that of a stage, in which its names begin with ``backbone.``.

    Raises:
        DataError: the file is missing, is no safetensors file, or holds another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from harness.networks.backbones.dropblock import restart_schedules

    if not file.is_file():
        raise DataError(f"weights {file}: no such file")
    try:
        found = load_file(file)
    except (SafetensorError, OSError) as error:
        raise DataError(f"weights {file}: not a safetensors file ({error})") from None
    prefix = "backbone."
    if any(name.startswith(prefix) for name in found):
        found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    wanted = backbone.state_dict()
    schedule = {name for name in wanted if name.endswith("drop_steps")}
    missing = sorted(wanted.keys() - found.keys() - schedule)
    surplus = sorted(found.keys() - wanted.keys())
    if missing or surplus:
        owner, names = ("the file lacks", missing) if missing else ("the backbone does not know", surplus)
        raise DataError(f"weights {file}: not of this backbone; {owner} {len(names)} tensor(s), {names[0]!r} first")
    for name in wanted.keys() - schedule:
        if found[name].shape != wanted[name].shape:
            raise DataError(
                f"weights {file}: {name!r} has shape {tuple(found[name].shape)}, this backbone needs "
                f"{tuple(wanted[name].shape)}; were they trained at another image size or with other channels?"
            )
    backbone.load_state_dict({name: found.get(name, value) for name, value in wanted.items()})
    restart_schedules(backbone)

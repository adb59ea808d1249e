"""Files of weights as people have them, read without running anything that they hold."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.common.errors import DataError, one_line

# What training scripts keep beside the weights. Each of these names is read as a Setting, which does nothing.
SETTINGS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib.PurePosixPath",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "_codecs.encode",
    "__builtin__.list",
    "__builtin__.dict",
    "builtins.list",
    "builtins.dict",
)
# Dicts with a name of their own: each is read as an OrderedDict, which torch's loader can fill.
DICTS = (
    "collections.defaultdict",
    "easydict.EasyDict",
    "yacs.config.CfgNode",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)


class Setting:
    """Stands where a file names one of SETTINGS: it takes whatever it is given, and forgets it."""

    def __new__(cls, *values: Any, **named: Any) -> Setting:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


class PlainDict:
    """Stands where a file names one of DICTS."""

    def __new__(cls, *values: Any, **named: Any) -> Any:
        return OrderedDict()


def read_weights(file: Path) -> Any:
    """What a file of weights holds: tensors in dicts, and dicts in dicts, on the processor.

    Reads safetensors, and what ``torch.save`` writes (.pth, .pt, .tar, .ckpt, .bin, in the zip and the older form)
    through torch's weights-only loader, so nothing in the file is run. Which of them it is, its first bytes say.

    Raises:
        DataError: no such file, not a file of weights, or one that cannot be read without running code in it.
    """
    try:
        with file.open("rb") as handle:
            start = handle.read(9)
    except OSError as error:
        raise DataError(f"weights {file}: {_reason(error)}") from None
    if start[8:9] == b"{":
        return _read_safetensors(file)
    if start[:2] in (b"PK", b"\x80\x02") or start[:1] == b"\x80" or b"ustar" in _tar_mark(file):
        return _read_torch(file)
    beginning = start[:4].hex(" ") or "nothing"
    raise DataError(f"weights {file}: neither a safetensors file nor one of torch.save (it begins with {beginning})")


def _reason(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"


def _tar_mark(file: Path) -> bytes:
    with file.open("rb") as handle:
        handle.seek(257)
        return handle.read(5)


def _read_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise DataError(f"weights {file}: not a safetensors file ({error})") from None


def _read_torch(file: Path) -> Any:
    import torch

    try:
        with _allow_settings(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{name.group(1)}, which only code can make" if name else "what only code can make"
        raise DataError(
            f"weights {file}: holds {what}, and no code is run from a file of weights: where you trust it, save its "
            "tensors alone, torch.save(model.state_dict(), FILE)"
        ) from None
    except Exception as error:  # torch's readers raise what they like on damaged files
        reason = one_line(error)
        if "TorchScript" in reason or ".tar format" in reason:
            raise DataError(
                f"weights {file}: a TorchScript archive or a torch file of before 2017, which hold code: save the "
                "tensors alone, torch.save(model.state_dict(), FILE)"
            ) from None
        raise DataError(f"weights {file}: not a file that torch.load can read ({reason[:200]})") from None


@contextmanager
def _allow_settings() -> Iterator[None]:
    """Inside, torch's weights-only loader knows SETTINGS and DICTS; afterwards it is as before."""
    from torch import serialization

    before = list(serialization.get_safe_globals())
    stand_ins: list[Any] = []
    for path in (*SETTINGS, *DICTS):
        module, _, name = path.rpartition(".")
        stand_ins.append(type(name, (Setting if path in SETTINGS else PlainDict,), {"__module__": module}))
    serialization.clear_safe_globals()
    serialization.add_safe_globals(stand_ins)
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)

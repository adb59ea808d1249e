"""Files of arrays with the record of what they are about, whole or not at all."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.common.files import write_kept
from harness.runs.records import Record, parse

NPY_1_0 = b"\x93NUMPY\x01\x00"  # what such a member starts with
HEADER_LENGTH = slice(8, 10)  # the bytes that say how long its header is

if TYPE_CHECKING:
    import numpy as np

    from harness.runs.record_base import FileRecord


def save_arrays(path: Path, about: FileRecord, compressed: bool = False, **arrays: np.ndarray) -> None:
    """Write an .npz of ``arrays`` with their record as its member ``about``."""
    write_kept(path, array_bytes(about, compressed, **arrays))


def array_bytes(about: FileRecord, compressed: bool = False, **arrays: np.ndarray) -> memoryview:
    """The content of such a file; equal values give equal bytes."""
    import numpy as np

    save, content = np.savez_compressed if compressed else np.savez, io.BytesIO()
    save(content, **arrays, about=np.array(about.model_dump_json()))
    return content.getbuffer()


def load_arrays(
    kind: type[Record], path: Path, *names: str, remedy: str = "Delete it to score again"
) -> tuple[Record, dict[str, np.ndarray]]:
    """The record and the arrays in ``names``.

    Raises:
        RunsError: the file cannot be read, is damaged, or of a newer format.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as file:
            about, *arrays = (_member(file, name) for name in ("about", *names))
            document = json.loads(str(about))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunsError(f"{path} cannot be read ({error}). {remedy}") from None
    return parse(kind, document, path), dict(zip(names, arrays, strict=True))


def _member(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an .npz; ``numpy.load`` opens each member twice and parses the same few headers again each time.

    Raises:
        ValueError: it is no array, or one of Python objects.
    """
    import numpy as np

    content = file.read(f"{name}.npy")
    start = HEADER_LENGTH.stop + int.from_bytes(content[HEADER_LENGTH], "little")
    if content[: HEADER_LENGTH.start] != NPY_1_0:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    shape, in_columns, dtype = _header(content[HEADER_LENGTH.start : start])
    values = np.frombuffer(bytearray(content), dtype, offset=start)
    return values.reshape(shape, order="F" if in_columns else "C")


@lru_cache(maxsize=256)
def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of an array in the .npy format 1.0."""
    import numpy as np

    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(content))
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of the shape {shape}")
    return shape, in_columns, dtype

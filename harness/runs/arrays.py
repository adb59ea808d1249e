"""Files of arrays with the record of what they are about, whole or not at all."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.common.files import write_kept
from harness.runs.records import Record, parse

if TYPE_CHECKING:
    import numpy as np

    from harness.runs.record_base import FileRecord


def save_arrays(path: Path, about: FileRecord, compressed: bool = False, **arrays: np.ndarray) -> None:
    """Write an .npz of ``arrays`` with their record as its member ``about``."""
    import numpy as np

    save, content = np.savez_compressed if compressed else np.savez, io.BytesIO()
    save(content, **arrays, about=np.array(about.model_dump_json()))
    write_kept(path, content.getbuffer())


def load_arrays(
    kind: type[Record], path: Path, *names: str, remedy: str = "Delete it to score again"
) -> tuple[Record, dict[str, np.ndarray]]:
    """The record and the arrays in ``names``.

    Raises:
        RunsError: the file cannot be read, is damaged, or of a newer format.
    """
    import numpy as np

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            document, arrays = json.loads(str(file["about"])), {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunsError(f"{path} cannot be read ({error}). {remedy}") from None
    return parse(kind, document, path), arrays

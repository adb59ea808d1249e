"""Files of runs from somebody else, checked before they are used: records that are typed, arrays that fit in memory.

Nothing here unpickles, and no size is believed before what it is said of is there.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from harness.common.errors import RunsError
from harness.common.files import parse_json
from harness.common.text import CONTROL, shortened
from harness.runs.layout import GIB, STAGE, Form
from harness.runs.records import BenchRecord, Record, ScoreRecord, TrainedRecord, validated_record
from harness.runs.shown import ARRAYS as SHOWN
from harness.runs.shown import check_shown

if TYPE_CHECKING:
    import numpy as np

MOST_UNPACKED = 1 * GIB  # bytes of the arrays of one file
ARRAYS = {
    "scores": {"accuracies", "classes", "about"},
    "predictions": {"predicted", "about"},
    "split": {"labels", "about"},
    "shown": {*SHOWN, "about"},
}
FOLDER = re.compile(STAGE)


def check_file(form: Form, name: str, data: bytes) -> Any:
    """What a file holds, as far as it is looked into: its record, or None.

    Raises:
        RunsError: it is damaged, too large, or says what no harness writes.
    """
    try:
        if form.kind == "bench":
            return _bench(name, data)
        if name.endswith("/trained.json"):
            return _record(TrainedRecord, data)
        if name.endswith(".json") and not isinstance(parse_json(data), dict):
            raise ValueError("no record")
        if form.kind in ARRAYS:
            arrays = read_arrays(data, ARRAYS[form.kind])
            if form.kind == "shown":
                check_shown(arrays)
            return _score(arrays) if form.kind == "scores" else None
    except ValueError as error:
        raise RunsError(f"{shortened(name)} in the archive is damaged: {error}") from None
    return None


def _record(kind: type[Record], data: bytes) -> Record:
    return validated_record(kind, parse_json(data))


def _bench(name: str, data: bytes) -> BenchRecord:
    bench = _record(BenchRecord, data)
    if f"benches/{bench.id}.json" != name:
        raise ValueError(f"it is the record of bench {bench.id}")
    for text in _printed(bench):
        if CONTROL.search(text) or "\n" in text:
            raise ValueError(f"the name {text!r} holds control characters")
    for table in bench.tables:
        for stage in table.stages:
            if not FOLDER.fullmatch(stage.folder):
                raise ValueError(f"the folder {stage.folder!r} is none of stages/DATASET/NAME")
            for key in stage.scores:
                if not re.fullmatch("[0-9a-f]{64}", key):
                    raise ValueError(f"{key!r} is no key of a score")
    return bench


def _printed(bench: BenchRecord) -> Iterator[str]:
    """The names that a table prints."""
    for table in bench.tables:
        yield from (table.dataset, table.test_dataset or "", *table.notes)
        for stage in table.stages:
            yield from (stage.row, stage.label, stage.stage, stage.backbone or "", stage.preset or "", stage.note)
            if stage.pretraining is not None:
                yield from (text for text in vars(stage.pretraining).values() if isinstance(text, str))


def _score(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The accuracies (E,) of a file in scores/, once they are what they are said to be."""
    import numpy as np

    accuracies, classes = arrays["accuracies"], arrays["classes"]
    record = validated_record(ScoreRecord, parse_json(str(arrays["about"]).encode()))
    if accuracies.dtype != np.float64 or accuracies.ndim != 1 or not len(accuracies):
        raise ValueError("its accuracies are no row of numbers")
    if not bool(((accuracies >= 0) & (accuracies <= 1)).all()):
        raise ValueError("an accuracy is no fraction from 0 to 1")
    if classes.dtype.kind not in "iu" or classes.shape != (len(accuracies), record.episodes.n_way):
        raise ValueError("its classes do not fit its accuracies")
    if not bool(((classes >= 0) & (classes < record.n_classes)).all()):
        raise ValueError("a class is none of the split's")
    return accuracies


def read_arrays(data: bytes, names: set[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz that holds these and no others, of plain numbers or text.

    Raises:
        ValueError: it holds anything else, or is larger than ``MOST_UNPACKED``.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = file.infolist()
            if {member.filename for member in members} != {f"{name}.npy" for name in names}:
                raise ValueError(f"it does not hold {', '.join(sorted(names))} alone")
            if len(members) != len(names) or sum(member.file_size for member in members) > MOST_UNPACKED:
                raise ValueError("its arrays are too large")
            for member in members:
                with file.open(member) as stream:
                    _check_header(stream, member.file_size)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except ValueError:
        raise
    except Exception as error:  # zipfile and numpy raise what they like on damaged files
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _check_header(stream: IO[bytes], size: int) -> None:
    """Raises ValueError where an array is not as large as its file, or holds objects."""
    from numpy.lib import format as form

    version = form.read_magic(stream)
    read_header = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError("an array of an unusual version of the format")
    shape, _, dtype = read_header(stream)
    if dtype.hasobject or dtype.names is not None:
        raise ValueError("it holds objects")
    if stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("the length of an array does not fit its shape")

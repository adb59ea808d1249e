"""Runs hostile files one after another and writes what came of each.

    python tests/helpers/hostile/worker.py all|light SHARD SHARDS [FIRST]

takes every SHARDS-th case from the SHARD-th on, beginning with the FIRST of those; with ``light`` only those that take
less than a second or so. A line of JSON a case has seconds of the processor and the memory needed. Before each case
the system's mark of the largest resident memory is set back (Linux), so that each has a peak of its own; the address
space is bounded.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from readers import READERS

from harness.common.errors import HarnessError
from harness.contract.data import DataRequest, Dataset, DatasetSpec
from harness.datasets.benchmarks.folder import FOLDER
from harness.datasets.prepared import store
from harness.datasets.preparing.classes import ClassList, ListedClass
from harness.datasets.preparing.prepare import PrepareRequest, prepare_dataset
from hostile import Case, all_cases

ADDRESS_SPACE = 2 << 30  # bytes above the bare process: twice what threads and maps may reserve, no swapping machine
CLASSES = ClassList(
    ListedClass(split, name, title)
    for split, name, title in (("train", "n01", "red fox"), ("train", "n02", "grey wolf"), ("test", "n03", "crane"))
)


def _never(request: DataRequest) -> Dataset:
    raise AssertionError


SPEC = DatasetSpec("hostile", "test", 4, _never)


def read(case: Case, source: Path, root: Path) -> None:
    """As the harness reads what lies in ``source``."""
    os.environ["HARNESS_CACHE"] = str(root / "cache")
    if case.reader == "prepare":
        store.open_folder(SPEC, prepare_dataset(SPEC, CLASSES, READERS, PrepareRequest(root, source)))
    elif case.reader == "folder":
        FOLDER.open(DataRequest(root, str(source), 16))
    else:
        store.open_folder(SPEC, source)


def run(case: Case, folder: Path) -> dict[str, object]:
    source, root = folder / "source", folder / "root"
    source.mkdir()
    root.mkdir()
    place = case.build(source) or source
    gc.collect()
    before, started, told = reset_peak(), time.process_time(), ""
    try:
        read(case, place, root)
        outcome = "read"
    except HarnessError as error:
        outcome, told = "refused", str(error).replace(str(folder), "")
    except BaseException as error:
        outcome, told = "crashed", f"{type(error).__name__}: {str(error)[:200]}\n{traceback.format_exc(limit=-3)}"
    seconds, megabytes = time.process_time() - started, peak() - before
    left = [name for name in os.listdir(root) if not name.endswith(".lock") and name not in ("cache", "hostile")]
    return {
        "outcome": outcome,
        "told": told,
        "seconds": round(seconds, 3),
        "megabytes": round(megabytes, 1),
        "outside": sorted({*os.listdir(folder)} - {"source", "root"}) + left,
    }


def reset_peak() -> float:
    """MB of resident memory now, from which on the peak counts."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def main(which: str, shard: int, shards: int, first: int = 0) -> None:
    warnings.simplefilter("error")
    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # hundreds of preparations; nothing here loses power
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # the remarks of folder:PATH
    limit = int(_status("VmSize") * (1 << 20)) + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    cases = [case for case in all_cases() if which == "all" or not case.heavy]
    gc.freeze()  # what is imported is not looked through again before every case
    for number, case in enumerate(cases[shard::shards]):
        if number < first:
            continue
        sys.stdout.write(json.dumps({"started": number, "name": case.name, "must_be_refused": case.refused}) + "\n")
        sys.stdout.flush()
        folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        try:
            result = run(case, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

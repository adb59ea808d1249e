"""The folder that rows are trained again in: one of its own, or what was trained before would be found, not trained."""

from __future__ import annotations

from pathlib import Path

from harness.common.errors import RunsError
from harness.common.files import as_json, write_kept
from harness.runs.benches import writable
from harness.runs.records import ReproductionRecord, read

FILE = "reproduction.json"


def claim(folder: Path, bench: str) -> None:
    """Make ``folder`` the one in which rows of a bench are trained again; it may be it already.

    Raises:
        RunsError: it holds other runs, or cannot be written.
    """
    path = folder / FILE
    try:
        there = read(ReproductionRecord, path).bench if path.exists() else None
    except RunsError as error:
        reason = str(error).partition(". Delete it")[0]
        raise RunsError(f"{reason}. Train rows again in another folder, --output FOLDER") from None
    if there is None and any((folder / name).exists() for name in ("stages", "benches", "begun")):
        raise RunsError(f"{folder} holds runs: rows are trained again in a folder of their own, --output FOLDER")
    if there not in (None, bench):
        raise RunsError(f"{folder} is where bench {there} was trained again: give bench {bench} another --output")
    writable(folder, *(folder / name for name in ("stages", "benches", "begun")))
    if there is None:
        write_kept(path, as_json(ReproductionRecord(bench=bench).model_dump(mode="json")).encode())

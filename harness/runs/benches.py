"""What benches asked for, and which stages answer them."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from harness.common.errors import HarnessError, RunsError
from harness.common.files import NO_ROOM, as_json, cannot_write, write_kept
from harness.runs.records import BegunRecord, BenchRecord, read


def begin_bench(output: Path, record: BegunRecord) -> None:
    """Keep what a bench asks for until it has ended: its stages answer to it, though it has no record yet."""
    write_kept(_begun(output, record.id), as_json(record.model_dump(mode="json")).encode())


def save_bench(output: Path, record: BenchRecord) -> Path:
    """Keep what a bench asked for, under an ID of its own request: the same bench twice is one file."""
    path = output / "benches" / f"{record.id}.json"
    write_kept(path, as_json(record.model_dump(mode="json")).encode())
    _begun(output, record.id).unlink(missing_ok=True)
    return path


def load_benches(output: Path) -> list[BenchRecord]:
    """The benches of a run folder, oldest first.

    Raises:
        RunsError: there are none.
    """
    paths = bench_files(output)
    if not paths:
        raise RunsError(f"{output} holds no bench. Make one: harness bench --output {output}")
    return oldest_first([read(BenchRecord, path) for path in paths])


def bench_files(output: Path) -> list[Path]:
    """The record of each bench that has ended, in the order in which they were written."""
    return sorted((output / "benches").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)


def oldest_first(benches: list[BenchRecord]) -> list[BenchRecord]:
    """By the time when they ended, which is in the record and so survives copying; of one second as they are."""
    return sorted(benches, key=lambda bench: bench.created)


def begun_benches(output: Path) -> list[BegunRecord]:
    """The benches that have not ended, or not yet, oldest first."""
    return [read(BegunRecord, path) for path in sorted((output / "begun").glob("*.json"))]


def find_benches(output: Path, which: str = "last") -> list[BenchRecord]:
    """The bench of an ID, or of its first letters where no other begins so; the ``last`` one; or ``all``, oldest first.

    Raises:
        RunsError: there is no such bench, or several.
    """
    benches = load_benches(output)
    if which == "all":
        return benches
    if which == "last":
        return benches[-1:]
    chosen = [bench for bench in benches if bench.id == which] or [
        bench for bench in benches if which and bench.id.startswith(which)
    ]
    listed = ", ".join(bench.id for bench in chosen or benches)
    if not chosen:
        raise RunsError(f"no bench {which!r} in {output}. There are: {listed}")
    if len(chosen) > 1:
        raise RunsError(f"{len(chosen)} benches of {output} begin with {which!r}: {listed}. Give more of the ID")
    return chosen


def find_bench(output: Path, which: str = "last") -> BenchRecord:
    """The bench of an ID, or the ``last`` one. Raises RunsError where there is none, or ``all`` are asked for."""
    if which == "all":
        raise RunsError("'all' benches are for harness report and harness runs export: give the ID of one, or 'last'")
    return find_benches(output, which)[0]


def split_reference(text: str, default: Path) -> tuple[Path, str]:
    """Run folder and ID of ``ID``, ``FOLDER:ID`` or ``FOLDER``, whose last bench is meant.

    Args:
        default: the folder of an ID alone.
    """
    folder, colon, which = text.rpartition(":")
    if colon and folder and not (Path(text) / "benches").is_dir():
        return Path(folder), which or "last"
    if (Path(text) / "benches").is_dir():
        return Path(text), "last"
    return default, text


def _begun(output: Path, bench: str) -> Path:
    return output / "begun" / f"{bench}.json"


def writable(*folders: Path) -> None:
    """Raises RunsError where a folder cannot be made or written."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise _not_writable(folder, error) from None


def could_be_written(*folders: Path) -> None:
    """Raises RunsError where ``writable`` would, and leaves everything as it is."""
    for folder in folders:
        place = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        try:
            if not place.is_dir():
                raise FileExistsError(errno.EEXIST if place == folder else errno.ENOTDIR, "")
            # Of a name that no bench has, so that none that starts meanwhile can miss it.
            probe = place / f".probe-{os.getpid()}-{threading.get_ident()}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise _not_writable(folder, error) from None


def _not_writable(folder: Path, error: OSError) -> HarnessError:
    if error.errno in NO_ROOM:
        return cannot_write(folder / ".writable", error)
    reason = os.strerror(error.errno or 0)
    return RunsError(f"cannot write to {folder}: {reason}. Choose another --output")

"""What benches asked for, and which stages answer them."""

from __future__ import annotations

from pathlib import Path

from harness.common.errors import RunsError
from harness.common.files import write_json
from harness.runs.records import BenchRecord, read


def save_bench(output: Path, record: BenchRecord) -> Path:
    """Keep what a bench asked for, under an ID of its own request: the same bench twice is one file."""
    path = output / "benches" / f"{record.id}.json"
    write_json(path, record.model_dump(mode="json"))
    return path


def load_benches(output: Path) -> list[BenchRecord]:
    """The benches of a run folder, oldest first.

    Raises:
        RunsError: there are none.
    """
    paths = sorted((output / "benches").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        raise RunsError(f"{output} holds no bench. Make one: harness bench --output {output}")
    return [read(BenchRecord, path) for path in paths]


def find_benches(output: Path, which: str = "last") -> list[BenchRecord]:
    """The bench of an ID, the ``last`` one, or ``all``, oldest first.

    Raises:
        RunsError: there is no such bench.
    """
    benches = load_benches(output)
    if which == "all":
        return benches
    chosen = benches[-1:] if which == "last" else [bench for bench in benches if bench.id == which]
    if not chosen:
        raise RunsError(f"no bench {which!r} in {output}. There are: {', '.join(bench.id for bench in benches)}")
    return chosen


def find_bench(output: Path, which: str = "last") -> BenchRecord:
    """The bench of an ID, or the ``last`` one. Raises RunsError where there is none, or ``all`` are asked for."""
    if which == "all":
        raise RunsError("--bench all is for harness report: give the ID of one bench, or 'last'")
    return find_benches(output, which)[0]


def writable(*folders: Path) -> None:
    """Raises RunsError where a folder cannot be made or written."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise RunsError(f"cannot write to {folder}: {error.strerror}. Choose another --output") from None

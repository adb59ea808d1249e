"""Runs the hostile files of tests/helpers/hostile in a few processes, and watches them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).parent / "hostile" / "worker.py"
PATIENCE = 300.0  # seconds of silence on a busy machine, after which a case hangs
ROOT = Path(__file__).parents[2]
MOST_MEMORY = 500  # MB above the bare process
LONGEST_MESSAGE = 800  # characters


@dataclass
class Result:
    """What came of one case."""

    name: str
    must_be_refused: bool
    outcome: str  # "read", "refused", "crashed", "hung" or "killed"
    told: str = ""
    seconds: float = 0.0  # of the processor
    megabytes: float = 0.0  # the largest resident memory above that before
    outside: list[str] = field(default_factory=list)  # what was left, or written elsewhere

    @property
    def faults(self) -> list[str]:
        """What is wrong with it; empty where all is well."""
        found = []
        if self.outcome not in ("read", "refused"):
            found.append(f"{self.outcome}: {self.told}")
        elif self.must_be_refused and self.outcome == "read":
            found.append("read, and was to be refused")
        if self.outcome == "refused" and not self.told.isprintable():
            found.append(f"told on several lines or with control characters: {self.told!r}")
        if len(self.told) > LONGEST_MESSAGE and self.outcome == "refused":
            found.append(f"told in {len(self.told):,} characters")
        if "MemoryError" in self.told or self.megabytes > MOST_MEMORY:
            found.append(f"took {self.megabytes:,.0f} MB: {self.told}")
        if self.outside:
            found.append(f"left {self.outside}")
        return found


def run_all(which: str, workers: int = 2) -> list[Result]:
    """The results of all cases, or of the light ones."""
    results: list[list[Result]] = [[] for _ in range(workers)]

    def shard(number: int) -> None:
        while _run(which, number, workers, results[number]):
            pass

    threads = [threading.Thread(target=shard, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [result for part in results for result in part]


def _run(which: str, shard: int, shards: int, results: list[Result]) -> bool:
    """Goes on behind ``results``; returns whether the process ended early, by one more result."""
    command = [sys.executable, str(WORKER), which, str(shard), str(shards), str(len(results))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_pass_on, args=(process, lines), daemon=True).start()
    started: dict[str, object] | None = None
    try:
        while line := lines.get(timeout=PATIENCE):
            told = json.loads(line)
            if "started" in told:
                started = told
            else:
                assert started is not None
                results.append(Result(str(started["name"]), bool(started["must_be_refused"]), **told))
                started = None
        outcome = "killed"
    except queue.Empty:
        outcome = "hung"
    finally:
        process.kill()
        _, errors = process.communicate()
    if started is None:
        if process.returncode:
            raise RuntimeError(f"the worker does not start: {errors[-2000:]}")
        return False
    results.append(
        Result(str(started["name"]), bool(started["must_be_refused"]), outcome, f"status {process.returncode}")
    )
    return True


def _pass_on(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    process.wait()
    lines.put("")

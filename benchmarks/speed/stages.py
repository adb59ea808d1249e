"""What the harness itself takes for a stage, and whether its memory grows: stages of one batch each; markdown tables.

    python benchmarks/speed/stages.py --stages 1000           # on two quiet cores some ten minutes

One bench of rfs/simple on glyphs, a seed a stage, each trained on one batch and scored on two episodes. What a stage
takes beside training and scoring, which its log times, is the harness's: locks, splits, building the network, files, a
worker's start and end. (A method that imports more than torch pays for that too: learn2learn takes three seconds.)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import conditions, table

from harness.hardware.hardware import Hardware

PLAN = (
    "--methods rfs --rows rfs/simple --budget images=64 --episodes 2 --queries 1 --shots 1 --no-floors "
    "--threads 1 --device cpu -q"
)


def resident(pid: int) -> float:
    """Resident memory of a process in MiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has, within five seconds: looking more often would take time, too."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        return False
    return True


def logs(output: Path) -> Iterator[dict[str, float]]:
    """Of each stage: seconds whole, of training and of scoring."""
    for file in output.glob("stages/*/*/log.jsonl"):
        events = {event["event"]: event for event in map(json.loads, file.read_text().splitlines())}
        yield {
            "whole": events["ended"]["seconds"],
            "training": events["trained"]["seconds"],
            "scoring": events["ended"]["scoring_seconds"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=1000)
    n_stages = parser.parse_args().stages
    before = conditions(Hardware("cpu", "32", 1), clock="on the wall", plan=f"`{PLAN}`", stages=n_stages)
    with tempfile.TemporaryDirectory() as folder:
        output, began = Path(folder), time.perf_counter()
        command = [sys.executable, "-m", "harness", "bench", *PLAN.split(), "--seeds", f"0-{n_stages - 1}"]
        memory: list[tuple[int, float]] = []  # stages done, MiB of the main process
        with subprocess.Popen([*command, "--output", str(output)], stdout=subprocess.DEVNULL) as process:
            while not ended(process):
                if mib := resident(process.pid):
                    memory.append((len(list(output.glob("stages/*/*/trained.json"))), mib))
        seconds = time.perf_counter() - began
        stages = list(logs(output))
    assert process.returncode == 0
    assert len(stages) == n_stages
    work = sum(stage["training"] + stage["scoring"] for stage in stages)
    own = statistics.median(stage["whole"] - stage["training"] - stage["scoring"] for stage in stages)
    rows = [
        ("training and scoring", f"{1000 * work / n_stages:.0f}"),
        ("the rest of a stage in its worker, median", f"{1000 * own:.0f}"),
        ("all but training and scoring, the start and the table included", f"{1000 * (seconds - work) / n_stages:.0f}"),
    ]
    print(before)
    print()
    print(table(("of a stage", "ms"), rows))
    memory = memory or [(n_stages, float("nan"))]  # of few stages nothing was seen
    steps = [next((pair for pair in memory if pair[0] >= n_stages * tenth // 10), memory[-1]) for tenth in range(1, 10)]
    print(table(("stages done", "main process, MiB"), [(done, f"{mib:.0f}") for done, mib in dict(steps).items()]))


if __name__ == "__main__":
    main()

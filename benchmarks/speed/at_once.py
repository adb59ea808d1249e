"""What ``--at-once`` gains: one bench of small networks, a stage at a time and several; a table on standard output.

    python benchmarks/speed/at_once.py --at-once 2            # 3 methods x 3 seeds on glyphs, ten minutes

Each bench runs in a run folder of its own, in turns: one stage after the other with the threads that a bench takes by
itself, the same with as many threads as a stage has beside others, and several stages side by side. The last two must
leave the same weights, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measuring import conditions, ratio, table

from harness.hardware.hardware import Hardware

PLAN = (
    "--dataset glyphs --methods rfs,skd,protonet --seeds 0,1,2 --no-floors --episodes 200 --device cpu --precision 32"
)


def bench(flags: Sequence[str], output: Path) -> float:
    """Seconds on the wall of a bench from nothing."""
    command = [sys.executable, "-m", "harness", "bench", *PLAN.split(), *flags, "--output", str(output)]
    free = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=free)
    return time.perf_counter() - began


def weights(output: Path) -> dict[str, str]:
    """The sha256 of each stage's weights, by the stage's folder."""
    files = sorted(output.glob("stages/*/*/weights.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--budget", default="images=12800", help="images that each stage's network sees")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    share = str(max(1, cores // asked.at_once))
    budget = ("--budget", asked.budget)
    kinds = {
        "one after the other": budget,
        f"one after the other, --threads {share}": (*budget, "--threads", share),
        f"--at-once {asked.at_once} --threads {share}": (*budget, "--at-once", f"{asked.at_once}", "--threads", share),
    }
    before = conditions(Hardware("cpu", "32", cores), plan=f"`{PLAN} {' '.join(budget)}`", rounds=asked.rounds)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    made: dict[str, dict[str, str]] = {}
    for _ in range(asked.rounds):
        for kind, flags in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds[kind].append(bench(flags, Path(folder)))
                made[kind] = weights(Path(folder))
    alone, narrow, side_by_side = kinds
    rows = [
        (
            f"`{kind}`" if kind.startswith("--") else kind,
            f"{statistics.median(times):.0f}",
            f"{ratio(seconds[alone], times):.2f}",
            f"{ratio(seconds[narrow], times):.2f}",
        )
        for kind, times in seconds.items()
    ]
    print(before)
    print()
    print(table(("stages", "s on the wall, median", "x the first's speed", "x the second's"), rows))
    same = "the same bytes" if made[narrow] == made[side_by_side] else "NOT the same bytes"
    print(f"Weights of {len(made[narrow])} stages, the last two kinds: {same}.")


if __name__ == "__main__":
    main()

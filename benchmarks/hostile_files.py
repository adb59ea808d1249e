"""What the harness makes of the hostile files of tests/helpers/hostile: a table on standard output.

    python benchmarks/hostile_files.py > benchmarks/results/hostile-files.md

Seconds are those that the processor gave to the reading, whatever else ran; memory is the largest resident memory above
that of the bare process. Linux only.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import numpy
import PIL
from hostile_files import Result, run_all


def main() -> None:
    results = run_all("all", workers=1)
    versions = f"Python {platform.python_version()}, numpy {numpy.__version__}, Pillow {PIL.__version__}"
    print(f"Conditions: {versions}, one run.\n")
    print("| area | tried | refused in one line | read | faults | slowest, s | largest, MB |")
    print("|---|---|---|---|---|---|---|")
    for area in sorted({result.name.partition(":")[0] for result in results}):
        print(row(area, [result for result in results if result.name.startswith(f"{area}:")]))
    print(row("all", results))
    slowest = max(results, key=lambda result: result.seconds)
    largest = max(results, key=lambda result: result.megabytes)
    print(f"\nSlowest: {slowest.name}, {slowest.seconds:.1f} s. Largest: {largest.name}, {largest.megabytes:.0f} MB.")
    for result in results:
        if result.faults:
            print(f"\nFault: {result.name}: {'; '.join(result.faults)}")


def row(name: str, results: list[Result]) -> str:
    outcomes = [result.outcome for result in results]
    numbers = (len(results), outcomes.count("refused"), outcomes.count("read"), sum(bool(r.faults) for r in results))
    seconds, megabytes = max(r.seconds for r in results), max(r.megabytes for r in results)
    return f"| {name} | {' | '.join(map(str, numbers))} | {seconds:.1f} | {megabytes:.0f} |"


if __name__ == "__main__":
    main()

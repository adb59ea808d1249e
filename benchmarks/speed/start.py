"""How long ``harness --help`` takes, beside a program that only imports typer: a table on standard output.

    python benchmarks/speed/start.py --rounds 9

Each is started in turn, in a process of its own; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from functools import partial

from measuring import conditions, ratio, table, timed_in_turns

from harness.hardware.hardware import Hardware

PROGRAMS = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import typer'": ("-c", "import typer"),
    "python -m harness --help": ("-m", "harness", "--help"),
    "python -m harness bench --help": ("-m", "harness", "bench", "--help"),
}


def start(arguments: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    hardware = Hardware("cpu", "32", 2)  # two threads: the clock on the wall, since the work is in other processes
    seconds = timed_in_turns({name: partial(start, of) for name, of in PROGRAMS.items()}, rounds, hardware)
    bare = seconds["python -c 'import typer'"]
    rows = [
        (f"`{name}`", f"{1000 * statistics.median(times):.0f}", f"{ratio(times, bare):.2f}")
        for name, times in seconds.items()
    ]
    print(conditions(hardware, rounds=rounds))
    print()
    print(table(("program", "ms, median", "x typer"), rows))


if __name__ == "__main__":
    main()

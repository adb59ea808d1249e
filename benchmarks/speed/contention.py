"""What a training step takes beside other processes, with and without threads that know to share.

    python benchmarks/speed/contention.py                     # conv4 and resnet12, 1 to 3 processes; five minutes

Processes of all cores' threads each train at once, each for the same seconds. Beside others a step takes its fair share
of the machine where P processes take P times as long as one of their kind does. On a machine that has other work "one
process" is not alone; processor time tells then what was computed and what was only waited. Prints markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from measuring import conditions, table
from training import bare_step

from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.process import prepare_process

BATCHES = {"conv4": 64, "resnet12": 8}  # images a step
KINDS = ("spinning", "sharing")


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, kind: str, arguments: argparse.Namespace) -> None:
        command = [sys.executable, __file__, "--child", kind, "--precision", arguments.precision]
        if arguments.threads:
            command += ["--threads", str(arguments.threads)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        self.hardware = Hardware(**json.loads(self._output.readline()))

    def begin(self, backbone: str, seconds: float) -> None:
        self._input.write(f"{backbone} {seconds}\n")
        self._input.flush()

    def step(self) -> tuple[float, float]:
        """Seconds of a step, on the wall and of the processor."""
        wall, processor = json.loads(self._output.readline())
        return wall, processor

    def end(self) -> None:
        self._input.close()
        self._process.wait()


def child(kind: str, hardware: Hardware) -> None:
    """Train as lines of standard input say, and print what a step took."""
    if kind == "spinning":
        import torch

        torch.set_num_threads(hardware.threads)
    else:
        prepare_process(hardware)
    steps = {backbone: bare_step(backbone, hardware, batch=batch) for backbone, batch in BATCHES.items()}
    for step in steps.values():
        step()
    print(json.dumps(vars(hardware)), flush=True)
    for line in sys.stdin:
        backbone, seconds = line.split()
        began, processor, n = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < float(seconds):
            steps[backbone]()
            n += 1
        took = time.perf_counter() - began, time.process_time() - processor
        print(json.dumps([seconds / n for seconds in took]), flush=True)


def together(workers: Sequence[Worker], backbone: str, seconds: float) -> tuple[float, float]:
    """Seconds of a step where all of them train at once, mean over them: on the wall and of the processor."""
    for worker in workers:
        worker.begin(backbone, seconds)
    walls, processors = zip(*(worker.step() for worker in workers), strict=True)
    return statistics.fmean(walls), statistics.fmean(processors)


def lines(backbone: str, workers: dict[str, list[Worker]], rounds: int, seconds: float) -> list[list[str]]:
    """A line a number of processes, medians over rounds; ratios are taken within a round."""
    most = len(workers[KINDS[0]])
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for n in range(1, most + 1):
            for kind in KINDS:
                taken.setdefault((kind, n), []).append(together(workers[kind][:n], backbone, seconds))
    rows = []
    for n in range(1, most + 1):
        row = [backbone, str(n)]
        for kind in KINDS:
            walls, processors = zip(*taken[kind, n], strict=True)
            shares = [wall / (n * one) for wall, (one, _) in zip(walls, taken[kind, 1], strict=True)]
            row += [f"{1000 * statistics.median(times):,.0f} ms" for times in (walls, processors)]
            row.append(f"{statistics.median(shares):.2f}")
        walls, better = ([step for step, _ in taken[kind, n]] for kind in KINDS)
        row.append(f"{statistics.median(a / b for a, b in zip(walls, better, strict=True)):.1f}")
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, help="of each process; default: all cores")
    parser.add_argument("--backbones", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--processes", type=int, default=3, help="the most that train at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, choose_hardware("cpu", arguments.precision, arguments.threads))
        return
    load = os.getloadavg()[0]
    workers = {kind: [Worker(kind, arguments) for _ in range(arguments.processes)] for kind in KINDS}
    about = {"cores": os.cpu_count(), "load before": f"{load:.1f}", "rounds": arguments.rounds}
    batches = {f"batch of {backbone}": BATCHES[backbone] for backbone in arguments.backbones}
    print(conditions(workers["sharing"][0].hardware, **about, **batches), end="\n\n", flush=True)
    rows = []
    for backbone in arguments.backbones:
        rows += lines(backbone, workers, arguments.rounds, arguments.seconds)
    measures = ("a step", "of the processor", "times the fair share")
    headers = (
        "backbone",
        "processes",
        *(f"{kind}: {measure}" for kind in KINDS for measure in measures),
        "times faster",
    )
    print(table(headers, rows))
    for kind in KINDS:
        for worker in workers[kind]:
            worker.end()


if __name__ == "__main__":
    main()

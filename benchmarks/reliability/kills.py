"""Benches that are killed at random, and the same command again: what stayed, what was lost, whether numbers differ.

    python benchmarks/reliability/kills.py --kills 60 --work /tmp/kills

Series over training and scoring, data preparation, a search, scoring again, a report and an export. In each, a command
is started, killed after a random time (SIGKILL, SIGTERM or SIGINT; the main process, one of its others, or all at
once), looked at 2 s later, and started again in the same folders. After three kills it runs to its end; its files and
its table are compared with those of the same command, never killed, and the folders are emptied for the next three.
Commands that train or score take two stages at once. Linux only: processes are found through /proc, by a mark in their
environment. Prints markdown.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from comparing import differences, stripped
from filelock import FileLock, Timeout
from PIL import Image

MARK = "HARNESS_KILLS"
GRACE = 2.0  # seconds after which no process may be left
PATIENCE = 60.0  # for those that are: how long they are watched
KILLS_A_ROUND = 3  # then it runs to its end: later kills would meet little that is left to be done
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WHOM = ("main", "other", "all")
SMALL = "--budget images=960 --episodes 20 --queries 5 --shots 1 --device cpu --precision 32 --threads 1"
STARTING = "--set rfs.generations=1 --set rfs.schedule=constant"
OWN_IMAGES = "--dataset folder:{images} --image-size 32 --split 40/20/40 --data-root {data}"
TRAIN = f"bench --no-floors --methods rfs --seeds 0-1 --at-once 2 {STARTING} --output {{runs}} {SMALL}"
MAKERS = {
    "train and score": TRAIN,
    "prepare data": f"bench --methods rfs --set rfs.generations=0 --at-once 2 {OWN_IMAGES} --output {{runs}} {SMALL}",
    "tune": "tune rfs --trials 3 --at-once 2 --set rfs.learning_rate=0.01,0.02,0.03,0.04 --stage simple "
    f"--output {{runs}} {SMALL}",
}
READERS = {  # of a finished bench
    "evaluate": "evaluate {runs} --classifier cosine --views 5 --at-once 2",
    "report": "report {runs} -o {out}/report.html --plots {out}/plots",
    "export": "export features {runs} --row rfs/simple --output {out}/features.npz",
}
SERIES = {**MAKERS, **READERS}


@dataclass
class Tally:
    """What came of the kills."""

    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # series, signal, whom
    rounds: Counter[str] = field(default_factory=Counter)  # series → how often it ran to its end
    stayed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


class Command:
    """One start of the harness, with a mark by which all its processes are known."""

    def __init__(self, name: str, place: Path, images: Path) -> None:
        places = {"runs": place / "runs", "out": place / "out", "data": place / "data", "images": images}
        self.mark = uuid.uuid4().hex
        with (place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness", *shlex.split(SERIES[name].format(**places))],
                env={**os.environ, "HARNESS_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1", MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def others(self) -> dict[int, str]:
        """The processes beside the main one: ID → state and command line."""
        return {pid: line for pid, line in self._alive() if pid != self.process.pid}

    def _alive(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    state = (entry / "stat").read_text().rpartition(") ")[2][:1]
                    yield int(entry.name), f"{state} {line.strip()[:90]}"
            except OSError:
                continue

    def kill(self, which: signal.Signals, whom: str, rng: random.Random) -> None:
        """Send a signal to the main process, to one of the others, or to all."""
        others = sorted(self.others())
        chosen = {"main": [self.process.pid], "other": [rng.choice(others)] if others else [self.process.pid]}
        for victim in chosen.get(whom, [self.process.pid, *others]):
            try:
                os.kill(victim, which)
            except ProcessLookupError:
                continue

    def finish(self) -> str:
        """Wait for its end. Returns what it wrote to standard output."""
        return self.process.communicate()[0].decode(errors="replace")


@dataclass
class Trial:
    """A command that is killed again and again, beside one that never is."""

    name: str
    work: Path
    rng: random.Random
    tally: Tally

    def run(self, kills: int) -> None:
        whole = self.prepare("whole")
        began = time.perf_counter()
        command = Command(self.name, whole, self.work / "images")
        expected = command.finish()
        seconds = time.perf_counter() - began
        print(f"{self.name}: {seconds:.0f} s undisturbed, status {command.process.returncode}", file=sys.stderr)
        for start in range(0, kills, KILLS_A_ROUND):
            killed = self.prepare("killed")
            for _ in range(min(KILLS_A_ROUND, kills - start)):
                self.kill_once(killed, seconds)
            self.finish(killed, whole, expected)

    def prepare(self, kind: str) -> Path:
        """Folders for the command, with a finished bench in them where it needs one."""
        place = self.work / self.name.replace(" ", "-") / kind
        shutil.rmtree(place, ignore_errors=True)
        (place / "out").mkdir(parents=True)
        if self.name in READERS:
            base = self.work / "base"
            if not base.exists():
                base.mkdir()
                Command("train and score", base, self.work / "images").finish()
            shutil.copytree(base / "runs", place / "runs")
        return place

    def kill_once(self, place: Path, seconds: float) -> None:
        """Start the command, kill it after a while, and see what is left of it 2 s later."""
        which, whom = self.rng.choice(SIGNALS), self.rng.choice(WHOM)
        command, moment = self._started(place, seconds)
        finished = finished_stages(place)
        command.kill(which, whom, self.rng)
        self.tally.kills[self.name, which.name, whom] += 1
        label = f"{self.name}, {which.name} of {whom} after {moment:.1f} s"
        print(f"  {label}", file=sys.stderr)
        if whom == "other":  # the bench goes on with what it lost, and so is ended by its main process
            try:
                command.process.wait(5)
            except subprocess.TimeoutExpired:
                command.process.kill()
        command.finish()
        ended = time.perf_counter()
        time.sleep(GRACE)
        if left := command.others():
            while command.others() and time.perf_counter() - ended < PATIENCE:
                time.sleep(0.2)
            seconds_left = time.perf_counter() - ended
            self.tally.stayed.append(f"{label}: {'; '.join(left.values())}, for {seconds_left:.1f} s")
        changed = [path for path, content in finished.items() if not path.exists() or path.read_bytes() != content]
        self.tally.lost += [f"{label}: {path.relative_to(place)}" for path in changed]
        self.tally.locked += [f"{label}: {path}" for path in place.glob("**/.*lock") if is_locked(path)]

    def _started(self, place: Path, seconds: float) -> tuple[Command, float]:
        """The command, after a random share of the time that it takes; one that has ended by then is started anew."""
        while True:
            moment = self.rng.uniform(0.02, 0.6) * seconds
            command = Command(self.name, place, self.work / "images")
            try:
                command.process.wait(moment)
            except subprocess.TimeoutExpired:
                return command, moment
            command.finish()
            shutil.rmtree(place)
            self.prepare("killed")

    def finish(self, place: Path, whole: Path, expected: str) -> None:
        """Let the command run to its end, and compare what it leaves with what it leaves undisturbed."""
        command = Command(self.name, place, self.work / "images")
        output = command.finish()
        self.tally.rounds[self.name] += 1
        if command.process.returncode != 0:
            log = (place / "log").read_text(errors="replace")[-300:]
            self.tally.broken.append(f"{self.name}: status {command.process.returncode}: {' '.join(log.split())}")
        lines = differences(whole, place)
        if stripped(expected) != stripped(output):
            lines.append("standard output")
        self.tally.differing += [f"{self.name}: {line}" for line in lines]


def finished_stages(place: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for name in ("trained.json", "weights.safetensors")
        for path in place.glob(f"runs/stages/*/*/{name}")
        if path.with_name("trained.json").exists()
    }


def is_locked(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def draw_images(folder: Path) -> None:
    """Twenty classes of coloured noise, twelve images each."""
    for label in range(20):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(12):
            generator = np.random.default_rng([label, number])
            pixels = np.clip(generator.normal(12 * label, 40, (64, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")


FAILINGS = {
    "stayed": f"processes left {GRACE:g} s after the end of the main one",
    "lost": "finished stages that changed or were gone",
    "locked": "locks that were held by nobody alive",
    "differing": "files and tables that differ from those of a command that was never killed",
    "broken": "commands that did not end well when they were left alone",
}


def report(tally: Tally) -> str:
    """The kills in a table, and what was wrong after them."""
    lines = [
        "| series | kills | SIGKILL | SIGTERM | SIGINT | main | other | all | run to the end |",
        "|---|" + "--:|" * 8,
    ]
    for name in dict.fromkeys(series for series, _, _ in tally.kills):
        of_name = {key: n for key, n in tally.kills.items() if key[0] == name}
        counts = [sum(of_name.values())]
        counts += [sum(n for key, n in of_name.items() if key[1] == which.name) for which in SIGNALS]
        counts += [sum(n for key, n in of_name.items() if key[2] == whom) for whom in WHOM]
        lines.append(f"| {name} | {' | '.join(map(str, counts))} | {tally.rounds[name]} |")
    for attribute, text in FAILINGS.items():
        failings = getattr(tally, attribute)
        lines += ["", f"{len(failings)} {text}", *(f"- {failing}" for failing in failings)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="a folder that is emptied")
    parser.add_argument("--series", default=",".join(SERIES), help="some of: " + ", ".join(SERIES))
    asked = parser.parse_args()
    shutil.rmtree(asked.work, ignore_errors=True)
    asked.work.mkdir(parents=True)
    draw_images(asked.work / "images")
    rng, tally, names = random.Random(asked.seed), Tally(), asked.series.split(",")
    for number, name in enumerate(names):
        Trial(name, asked.work, rng, tally).run(asked.kills // len(names) + (number < asked.kills % len(names)))
        print(report(tally), file=sys.stderr)
    print(report(tally))


if __name__ == "__main__":
    main()

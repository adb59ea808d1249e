"""How long ``harness report`` takes over many stages, by format: a table on standard output.

    python benchmarks/speed/report.py --stages 1000

The run folder is made: a bench of four datasets, five seeds, 600 closed and up to 148 open episodes of 5-way 1-shot and
5-shot, 20 epochs of losses a stage. Each report runs in a process of its own; seconds are those that the processor gave
it, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measuring import conditions, table

from harness.bench.table import episodes_record
from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import Head
from harness.contract.plan import BenchPlan
from harness.contract.results import Score
from harness.episodes.sampler import sample_episodes
from harness.hardware.hardware import Hardware
from harness.runs import StageFolder, digest, save_bench
from harness.runs.records import BenchRecord, StageRecord, TableRecord, TrainedRecord

DATASETS = ("CIFAR-FS", "FC100", "miniImageNet", "tieredImageNet")
SEEDS = (0, 1, 2, 3, 4)
SPECS = (EpisodeSpec(5, 1), EpisodeSpec(5, 5))
REPORTS = (
    ("markdown",),
    ("markdown", "--baseline", "method0/x"),
    ("markdown", "--mark", "best,same,tiers"),
    ("csv",),
    ("json",),
    ("latex",),
    ("html", "--baseline", "method0/x"),
)


def make(output: Path, n_stages: int) -> None:
    """A run folder of a bench with ``n_stages`` stages."""
    n_methods = n_stages // len(DATASETS) // len(SEEDS)
    plan = BenchPlan(dataset=DATASETS, seeds=SEEDS)
    tables = []
    for dataset in DATASETS:
        labels = np.repeat(np.arange(20), 600)
        names = tuple(f"{dataset} {i}" for i in range(20))
        split = Split("test", np.zeros((len(labels), 1, 1, 3), np.uint8), labels, names, f"test of {dataset}")
        episodes = [sample_episodes(split, spec, 600, 0, target) for target in ("closed", "open") for spec in SPECS]
        stages = [
            make_stage(output, dataset, f"method{method}", seed, episodes)
            for method in range(n_methods)
            for seed in SEEDS
        ]
        tables.append(
            TableRecord(
                dataset=dataset,
                test_dataset=None,
                train_on="train",
                notes=(),
                partial=False,
                data_fingerprint=digest(dataset),
                score_on="test",
                n_test_classes=20,
                episodes=tuple(map(episodes_record, episodes)),
                stages=tuple(stages),
            )
        )
    save_bench(output, BenchRecord(id="made", created="now", plan=plan, tables=tuple(tables)))


def make_stage(output: Path, dataset: str, label: str, seed: int, episodes: list[Episodes]) -> StageRecord:
    key = digest([dataset, label, seed])
    folder = StageFolder(output / "stages" / dataset / f"{label}-{seed}")
    folder.path.mkdir(parents=True)
    rng = np.random.default_rng([int(key[:8], 16)])
    weights = torch.nn.Linear(1, 1)
    folder.save_metrics([{"epoch": epoch, "loss": 2 / epoch, "accuracy": 0.5} for epoch in range(1, 21)])
    folder.save_trained(
        weights,
        TrainedRecord(
            label=label,
            images_seen=100_000,
            fit_seconds=60.0,
            flops=10**13,
            peak_memory_bytes=2**29,
            n_classes=64,
            conditions={"device": "made"},
        ),
    )
    scores = []
    for some in episodes:
        accuracies = np.clip(0.6 + 0.1 * rng.standard_normal(len(some)) + 0.01 * rng.standard_normal(), 0, 1)
        scores.append(digest([key, some.fingerprint]))
        score = Score(some.spec, some.target, some.fingerprint, accuracies, some.classes, 20)
        folder.save_score(scores[-1], score, 1.0, {})
    return StageRecord(
        label=label,
        method=label,
        stage="x",
        row=f"{label}/x",
        preset="paper",
        changed=(),
        floor=False,
        transductive=False,
        backbone="resnet12",
        head=Head("cosine"),
        options={},
        seed=seed,
        key=key,
        folder=str(folder.path.relative_to(output)),
        scores=tuple(scores),
        failure=None,
    )


def seconds_of(runs: Path, arguments: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of the processor and of the clock on the wall."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "harness", "report", str(runs), "--format", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--runs", type=Path, help="where the run folder is made, and kept")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = asked.runs or Path(temporary) / "runs"
        if not (runs / "benches").exists():
            make(runs, asked.stages)
        print(conditions(Hardware("cpu", "32", 1), stages=asked.stages), flush=True)
        print()
        rows = []
        for arguments in REPORTS:
            of_processor, of_wall = seconds_of(runs, arguments)
            rows.append((f"`--format {' '.join(arguments)}`", f"{of_processor:.1f}", f"{of_wall:.1f}"))
        print(table(("report", "s of the processor", "s on the clock"), rows))


if __name__ == "__main__":
    main()

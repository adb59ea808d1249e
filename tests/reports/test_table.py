"""harness/reports: rows, costs and conditions, as the markdown tables have them."""

from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from harness.common.errors import RunsError
from harness.reports.figures.plots import plots
from harness.reports.words import duration, p_value
from tests.helpers.reports import CONDITIONS, N_CLOSED, closed

# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def test_a_cell_is_the_mean_and_the_t_interval_of_its_episodes(runs):
    bench = runs().add("rfs/simple", 0.6)
    values = closed(bench, "rfs/simple")
    half = stats.t.ppf(0.975, N_CLOSED - 1) * values.std(ddof=1) / math.sqrt(N_CLOSED)
    assert bench.cells()["rfs/simple"]["5-way 1-shot"] == f"{100 * values.mean():.2f} ± {100 * half:.2f}"


def test_costs_include_the_stages_that_a_row_was_trained_from(runs):
    bench = runs().add("skd/gen0", cost={"images_seen": 1000, "fit_seconds": 60.0, "peak_memory_bytes": 3 * 2**30})
    bench.add("skd/gen1", parent="skd/gen0", cost={"images_seen": 234, "fit_seconds": 65.0, "flops": 25e12})
    cells = bench.cells()
    assert cells["skd/gen0"]["images seen"] == "1,000"
    assert [cells["skd/gen1"][name] for name in ("images seen", "training", "TFLOP", "memory")] == [
        "1,234",
        "2 min 05 s",
        "30.0",
        "3,072 MiB",
    ]


def test_costs_are_means_over_seeds(runs):
    bench = runs(seeds=(0, 1)).add("rfs/simple", cost={"images_seen": 800})
    assert bench.cells()["rfs/simple"]["images seen"] == "800"


def test_what_trained_nothing_costs_nothing(runs):
    free = {"images_seen": 0, "fit_seconds": 0.0, "flops": 0, "peak_memory_bytes": 0}
    cells = runs().add("pixels", floor=True, backbone=None, cost=free).cells()
    assert [cells["pixels"][name] for name in ("backbone", "images seen", "training", "TFLOP", "memory")] == ["-"] * 5


def test_costs_that_nobody_counted_are_unknown_and_not_those_of_no_training(runs):
    loop = {"images_seen": None, "flops": None, "fit_seconds": 65.0, "peak_memory_bytes": None}
    bench = runs(seeds=(0, 1)).add("loop/x", cost=loop).add("skd/gen0").add("skd/gen1", parent="loop/x")
    cells = bench.cells()
    for name in ("loop/x", "skd/gen1"):
        assert [cells[name][column] for column in ("images seen", "TFLOP", "memory")] == ["unknown"] * 3
    assert cells["loop/x"]["training"] == "65 s"
    assert cells["skd/gen1"]["training"] == "75 s"
    text = bench.text()
    assert "- loop/x, skd/gen1: images seen and TFLOP are unknown, since its own training loop" in text
    assert "- loop/x, skd/gen1: memory is unknown, since its process had held more before" in text
    assert "unknown" not in runs().add("skd/gen0").text()
    lines = list(csv.DictReader(io.StringIO(bench.text("csv"))))
    assert {line["images_seen"] for line in lines if line["method"] == "loop/x"} == {""}


def test_the_highest_printed_mean_is_bold(runs):
    cells = runs().add("rfs/simple", 0.5).add("skd/gen0", 0.7).add("skd/gen1", 0.6).cells()
    assert [name for name, line in cells.items() if line["5-way 1-shot"].startswith("**")] == ["skd/gen0"]


def test_a_single_row_is_not_bold(runs):
    assert "**" not in runs().add("rfs/simple").text()


def test_seeds_are_pooled_and_counted_in_the_interval(runs):
    bench = runs(seeds=(0, 1, 2)).add("rfs/simple", (0.5, 0.6, 0.7))
    by_seed = [closed(bench, "rfs/simple", seed) for seed in (0, 1, 2)]
    mean, half = map(float, bench.cells()["rfs/simple"]["5-way 1-shot"].split(" ± "))
    assert mean == pytest.approx(100 * np.mean(by_seed), abs=0.005)
    of_seeds = np.var([values.mean() for values in by_seed], ddof=1) / 3
    assert half > 100 * stats.t.ppf(0.975, 5) * math.sqrt(of_seeds)
    text = bench.text()
    assert "and over the 3 seeds" in text
    assert "under 3 seeds" not in text
    assert "under 3 seeds: these weights, not these methods" in runs(seeds=(0, 1)).add("rfs/simple").text()


def test_a_failed_stage_is_a_row_with_its_reason(runs):
    bench = runs().add("rfs/simple").add("skd/gen0", failure="the loss is not finite")
    text = bench.text()
    assert bench.report().failures == ["skd/gen0: seed 0: the loss is not finite"]
    assert "- skd/gen0 failed: seed 0: the loss is not finite\n" in text
    line = bench.cells()["skd/gen0"]
    assert [line[name] for name in ("5-way 1-shot", "images seen", "memory")] == ["failed", "-", "-"]
    for form in ("csv", "json", "latex", "html"):
        assert "the loss is not finite" in bench.text(form)


def test_a_table_without_a_whole_row_is_still_one(runs):
    bench = runs(baseline="rfs/simple").add("rfs/simple", failure="no luck")
    for form in ("markdown", "csv", "json", "latex", "html"):
        assert "no luck" in bench.text(form)
    assert "No differences: the baseline rfs/simple failed." in bench.text()
    assert plots(bench.report().tables[0]) == []


def test_conditions_that_all_rows_share_are_one_line_and_others_name_their_rows(runs):
    bench = runs().add("rfs/simple").add("skd/gen0", conditions={**CONDITIONS, "device": "A GPU"})
    text = bench.text()
    assert "- bench abc123; precision 32; torch 2.15.0\n" in text
    assert "- device differs: A CPU (rfs/simple); A GPU (skd/gen0)\n" in text


def test_seeds_that_ran_elsewhere_are_told(runs):
    elsewhere = [CONDITIONS, {**CONDITIONS, "device": "A GPU"}]
    bench = runs(seeds=(0, 1)).add("rfs/simple", conditions=elsewhere).add("skd/gen0")
    assert "- device differs: A CPU / A GPU (rfs/simple); A CPU (skd/gen0)\n" in bench.text()


def test_the_conditions_name_what_the_numbers_hold_under(runs):
    bench = runs(episode_seed=7, budget=5000, weights="w.safetensors", notes=("partial data (3 of 64 classes)",))
    bench.add("rfs/simple", changed=["alpha"], options={"alpha": 3})
    text = bench.text()
    assert text.startswith("## CIFAR-FS (partial data (3 of 64 classes))\n")
    for line in (
        "40 of 5-way 1-shot; 40 of 5-way 5-shot; 5 queries a class, episode seed 7",
        "presets: rfs paper (alpha = 3)",
        "budget: 5,000 images a stage",
        "every backbone started from w.safetensors",
        f"data {'d' * 16}; closed episodes {', '.join(e.fingerprint[:8] for e in bench.episodes[:2])}",
    ):
        assert line in text, line


RENDER = """
import hashlib, sys
from pathlib import Path
from harness import build_report, load_benches
from harness.catalogue.catalogue import Catalogue

runs, catalogue = Path(sys.argv[1]), Catalogue.discover()
report = build_report([(runs, bench) for bench in load_benches(runs)])
for form in ("markdown", "csv", "json", "latex", "html"):
    print(form, hashlib.sha256(catalogue.reporter(form).render(report).encode()).hexdigest())
"""


def test_the_same_runs_give_the_same_bytes_in_every_process(runs):
    """Processes differ in their hashes, so in the order of sets, and in the seeds of identifiers."""
    bench = runs(baseline="rfs/simple", seeds=(0, 1, 2)).add("rfs/simple").add("skd/gen0", 0.6).save()
    one, other = (
        subprocess.run(
            [sys.executable, "-c", RENDER, str(bench.output)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert len(one.splitlines()) == 5
    assert one == other


def test_a_stage_that_was_deleted_is_told(runs):
    bench = runs().add("rfs/simple")
    next((bench.output / "stages").glob("*/*/scores/*.npz")).unlink()
    with pytest.raises(RunsError, match=r"rfs-simple-0 is not whole\. Run the bench again"):
        bench.report()


def test_a_stage_without_a_row_still_counts_as_a_parent(runs):
    bench = runs().add("skd/gen0", shown=False).add("skd/gen1", parent="skd/gen0")
    cells = bench.cells()
    assert list(cells) == ["skd/gen1"]
    assert cells["skd/gen1"]["images seen"] == "2,000"


def test_signs_in_names_do_not_break_the_table(runs):
    text = runs().add("a|b/c", backbone="timm:x|y").text()
    assert "| a\\|b/c " in text
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1


def test_durations_and_p_values_are_short():
    assert [duration(s) for s in (0.4, 99.4, 100, 3599, 6000, 90000)] == [
        "0 s",
        "99 s",
        "1 min 40 s",
        "59 min 59 s",
        "1 h 40 min",
        "25 h 00 min",
    ]
    assert [p_value(p) for p in (1.0, 0.0499, 0.001, 0.00099)] == ["1.000", "0.050", "0.001", "< 0.001"]

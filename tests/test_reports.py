"""harness/reports: from a run folder to markdown, csv, json, latex, html and figures."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from scipy import stats

from harness.episodes import sample_episodes
from harness.errors import HarnessError, RunsError, UnknownName
from harness.plan import BenchPlan
from harness.plugins import Catalogue
from harness.reports import Report, render
from harness.reports.plots import plots, save_plots
from harness.reports.published import Published, verdict
from harness.reports.table import difference_rows, duration, main_rows, p_value
from harness.runs import StageFolder, digest, load_benches, save_bench
from harness.types import EpisodeSpec, Head, Score, Split

CATALOGUE = Catalogue.discover()
SPECS = (EpisodeSpec(5, 1, 5), EpisodeSpec(5, 5, 5))
N_CLOSED = 40
CONDITIONS = {"device": "A CPU", "precision": "32", "torch": "2.15.0"}


def split(n_classes=20, n_images=60):
    images = np.zeros((n_classes * n_images, 1, 1, 3), np.uint8)
    labels = np.repeat(np.arange(n_classes), n_images)
    return Split("test", images, labels, tuple(f"c{i}" for i in range(n_classes)), "the test split")


class Bench:
    """A run folder, written as a bench writes it; accuracies are drawn from a seeded generator around a mean."""

    def __init__(self, output, dataset="CIFAR-FS", n_classes=20, n_images=60, notes=(), specs=SPECS, **plan):
        self.output = output
        self.dataset = dataset
        self.notes = notes
        self.plan = BenchPlan(dataset=(dataset,), queries=5, episodes=N_CLOSED, **plan)
        self.split = split(n_classes, n_images)
        sampled = [sample_episodes(self.split, s, N_CLOSED, 0, target) for target in ("closed", "open") for s in specs]
        self.episodes = [some for some in sampled if some.target == "closed" or len(some) > 1]
        self.stages = []

    def add(self, name, mean=0.5, parent=None, failure=None, values=None, history=(), fingerprint=None, **about):
        """A stage over the plan's seeds. ``mean``: of its accuracies, or a mean a seed."""
        label, _, stage = name.partition("/")
        cost = {
            "images_seen": 1000,
            "fit_seconds": 10.0,
            "flops": 5e12,
            "peak_memory_bytes": 2**29,
            **about.pop("cost", {}),
        }
        conditions, scored_under = about.pop("conditions", CONDITIONS), about.pop("scored_under", {})
        for i, seed in enumerate(self.plan.seeds):
            key = digest([name, seed])
            folder = StageFolder(self.output / "stages" / f"{label}-{stage}-{seed}")
            scores = []
            if failure is None:
                own = conditions[i] if isinstance(conditions, list) else conditions
                folder.save_trained(torch.nn.Linear(1, 1), {**cost, "n_classes": 64, "conditions": own, "label": label})
                if history:
                    folder.save_metrics(history)
                for some in self.episodes:
                    rng = np.random.default_rng([len(name), seed, some.spec.k_shot, len(some)])
                    centre = mean[i] if isinstance(mean, (list, tuple)) else mean
                    accuracies = values if values is not None else centre + 0.08 * rng.standard_normal(len(some))
                    score = Score(some.spec, some.target, fingerprint or some.fingerprint,
                                  np.asarray(accuracies)[: len(some)], some.classes, self.split.n_classes)  # fmt: skip
                    scores.append(digest([key, some.fingerprint]))
                    folder.save_score(scores[-1], score, 1.0, scored_under)
            self.stages.append({
                "label": label, "method": label, "stage": stage or label, "row": name, "preset": "paper", "changed": [],
                "floor": False, "transductive": False, "backbone": "resnet12", "head": asdict(Head("cosine")),
                "options": {}, "seed": seed, "key": key, "parent": digest([parent, seed]) if parent else None,
                "folder": str(folder.path.relative_to(self.output)), "scores": scores, "failure": failure, **about,
            })  # fmt: skip
        return self

    def save(self, bench_id="abc123"):
        table = {
            "dataset": self.dataset, "test_dataset": None, "train_on": self.plan.train_on, "notes": list(self.notes),
            "data_fingerprint": "d" * 64, "score_on": "test", "n_test_classes": self.split.n_classes,
            "episodes": [{**asdict(e.spec), "target": e.target, "n": len(e), "fingerprint": e.fingerprint}
                         for e in self.episodes],
            "stages": self.stages,
        }  # fmt: skip
        save_bench(self.output, {"id": bench_id, "created": "now", "plan": self.plan.model_dump(mode="json"),
                                 "tables": [table]})  # fmt: skip
        return self

    def report(self, **about):
        self.save()
        return Report.of([(self.output, bench) for bench in load_benches(self.output)], **about)

    def text(self, form="markdown", **about):
        return render(self.report(**about), form, CATALOGUE)

    def cells(self, **about):
        """row → column → text, of the first markdown table."""
        return {line["method"]: line for line in main_rows(self.report(**about).tables[0])}


@pytest.fixture
def runs(tmp_path):
    return lambda **about: Bench(tmp_path / "runs", **about)


def closed(bench, name, seed=0, k_shot=1, target="closed"):
    """The accuracies that a stage's folder holds, read without the code under test."""
    for stage in bench.stages:
        if (stage["row"], stage["seed"]) == (name, seed):
            for key in stage["scores"]:
                with np.load(bench.output / stage["folder"] / "scores" / f"{key}.npz") as file:
                    about = json.loads(str(file["about"]))
                    if (about["target"], about["episodes"]["k_shot"]) == (target, k_shot):
                        return file["accuracies"]
    raise KeyError(name)


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
        "1,234", "2 min 05 s", "30.0", "3,072 MiB",
    ]  # fmt: skip


def test_costs_are_means_over_seeds(runs):
    bench = runs(seeds=(0, 1)).add("rfs/simple", cost={"images_seen": 800})
    assert bench.cells()["rfs/simple"]["images seen"] == "800"


def test_what_trained_nothing_costs_nothing(runs):
    free = {"images_seen": 0, "fit_seconds": 0.0, "flops": 0, "peak_memory_bytes": 0}
    cells = runs().add("pixels", floor=True, backbone=None, cost=free).cells()
    assert [cells["pixels"][name] for name in ("backbone", "images seen", "training", "TFLOP", "memory")] == ["-"] * 5


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


def test_the_same_runs_give_the_same_bytes(runs):
    bench = runs(baseline="rfs/simple", seeds=(0, 1, 2)).add("rfs/simple").add("skd/gen0", 0.6)
    for form in ("markdown", "csv", "json", "latex", "html"):
        assert bench.text(form) == bench.text(form)


def test_a_stage_that_was_deleted_is_told(runs):
    bench = runs().add("rfs/simple")
    next((bench.output / "stages").glob("*/scores/*.npz")).unlink()
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
        "0 s", "99 s", "1 min 40 s", "59 min 59 s", "1 h 40 min", "25 h 00 min",
    ]  # fmt: skip
    assert [p_value(p) for p in (1.0, 0.0499, 0.001, 0.00099)] == ["1.000", "0.050", "0.001", "< 0.001"]


# ── differences ───────────────────────────────────────────────────────────────────────────────────


def test_differences_are_paired_on_open_episodes_and_corrected_by_holm(runs):
    few = {"n_classes": 40, "n_images": 12}  # so few episodes that no class effects are taken out: docs/statistics.md
    bench = runs(**few).add("rfs/simple", 0.5).add("skd/gen0", 0.53).add("skd/gen1", 0.52)
    table = bench.report(baseline="rfs/simple").tables[0]
    lines = difference_rows(table)
    assert [(line["method"], line["setting"]) for line in lines] == [
        (name, f"5-way {k}-shot") for name in ("skd/gen0", "skd/gen1") for k in (1, 5)
    ]
    raw = []
    for line in lines:
        row, baseline = (
            closed(bench, name, k_shot=int(line["setting"][6]), target="open")
            for name in (line["method"], "rfs/simple")
        )
        assert line["win / tie / loss"].split(" / ")[0] == str((row > baseline).sum())
        raw.append(stats.wilcoxon(row - baseline, zero_method="pratt", method="asymptotic").pvalue)
    ranks = np.argsort(np.argsort(raw))
    running = np.maximum.accumulate(np.sort(raw) * np.arange(4, 0, -1)).clip(max=1)
    assert [line["p (Wilcoxon)"] for line in lines] == [p_value(running[rank]) for rank in ranks]


def test_a_difference_without_doubt_is_bold_and_an_equal_row_is_not(runs):
    values = np.random.default_rng(0).uniform(0.3, 0.6, N_CLOSED + 200)
    bench = runs().add("a/x", values=values).add("b/x", values=values + 0.1).add("c/x", values=values)
    lines = {
        (line["method"], line["setting"]): line for line in difference_rows(bench.report(baseline="a/x").tables[0])
    }
    better, equal = lines["b/x", "5-way 1-shot"], lines["c/x", "5-way 1-shot"]
    assert better["difference"] == "**+10.00 ± 0.00**"
    assert better["p (t)"] == "< 0.001"
    assert equal["difference"] == "+0.00 ± 0.00"
    assert (equal["p (t)"], equal["p (Wilcoxon)"]) == ("1.000", "1.000")
    assert equal["win / tie / loss"].startswith("0 / ")


def test_the_baseline_of_the_plan_is_used_unless_another_is_named(runs):
    bench = runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0", 0.6)
    assert "Paired differences from rfs/simple, in points" in bench.text()
    assert "Paired differences from skd/gen0, in points" in bench.text(baseline="skd/gen0")


def test_a_baseline_that_is_no_row_is_told(runs):
    with pytest.raises(UnknownName, match=r"unknown row for the baseline 'rfs/simpel'\. Did you mean 'rfs/simple'"):
        runs().add("rfs/simple").report(baseline="rfs/simpel")


def test_rows_that_met_other_episodes_are_refused(runs):
    bench = runs().add("rfs/simple").add("skd/gen0", fingerprint="f" * 64)
    with pytest.raises(RunsError, match=r"episodes ffffffffffff and .* differ, so their rows cannot be paired"):
        bench.report(baseline="rfs/simple")


def test_seeds_that_met_other_episodes_are_not_pooled(runs):
    bench = runs(seeds=(0, 1)).add("rfs/simple")
    for key, other in zip(bench.stages[0]["scores"], bench.stages[1]["scores"], strict=True):
        folder = StageFolder(bench.output / bench.stages[1]["folder"])
        kept = StageFolder(bench.output / bench.stages[0]["folder"]).load_score(key)
        folder.save_score(other, Score(**{**vars(kept.score), "episodes_fingerprint": "f" * 64}), 1.0, {})
    with pytest.raises(RunsError, match="different episodes, so they cannot be pooled"):
        bench.report()


def test_a_scoring_elsewhere_is_told_beside_the_training(runs):
    text = runs().add("rfs/simple", scored_under={**CONDITIONS, "device": "another GPU"}).text()
    assert f"device {CONDITIONS['device']} (scored on another GPU)" in text
    assert f"torch {CONDITIONS['torch']};" in text or text.rstrip().endswith(f"torch {CONDITIONS['torch']}")


def test_why_there_are_no_differences_is_told(runs):
    assert "the baseline rfs/simple is the only row" in runs(baseline="rfs/simple").add("rfs/simple").text()


def test_a_test_split_too_small_for_open_episodes_gives_no_differences(tmp_path):
    bench = Bench(tmp_path / "small", baseline="a/x", n_classes=5)
    bench.episodes = [some for some in bench.episodes if some.target == "closed"]
    text = bench.add("a/x").add("b/x").text()
    assert "has too few images for two open episodes" in text
    assert "open episodes" not in text.splitlines()[-3]


def test_the_claim_of_a_difference_depends_on_the_seeds(runs):
    def text(seeds):
        return runs(seeds=seeds, baseline="rfs/simple").add("rfs/simple").add("skd/gen0").text()

    assert "They are about these weights on new images of these classes" in text((0,))
    assert "Wilcoxon's test knows nothing of seeds" not in text((0,))
    assert "Wilcoxon's test knows nothing of seeds" in text((0, 1, 2))
    assert "They are about these methods on new images of these classes" in text((0, 1, 2))


# ── published numbers ─────────────────────────────────────────────────────────────────────────────


def published_for(bench, name, k_shot=1):
    (row,) = [row for row in bench.report(published=True).tables[0].rows if row.name == name]
    (cell,) = [cell for spec, cell in row.cells.items() if spec.k_shot == k_shot]
    return row, cell


def test_a_verdict_is_the_arithmetic_of_the_page_on_reports(runs):
    bench = runs(seeds=(0, 1, 2)).add("rfs/simple", (0.70, 0.71, 0.72))
    by_seed = np.array([closed(bench, "rfs/simple", seed) for seed in (0, 1, 2)])  # (S, E)
    se = by_seed.mean(axis=0).std(ddof=1) / math.sqrt(N_CLOSED)
    s_seed = by_seed.mean(axis=1).std(ddof=1)
    bound = 1.96 * math.sqrt(se**2 + (0.008 / 1.96) ** 2 + 2 * s_seed**2)
    row, cell = published_for(bench, "rfs/simple")

    def of(accuracy):
        number = Published("CIFAR-FS", "RFS", "rfs/simple", "resnet12", SPECS[0], accuracy, 0.008, "a paper")
        return verdict(number, row, cell, []).text

    measured = by_seed.mean()
    inside, outside = 0.99 * bound, 1.01 * bound
    assert of(measured - inside) == f"agrees ({100 * inside:+.2f}, allowed ± {100 * bound:.2f})"
    assert of(measured + inside).startswith("agrees (-")
    assert of(measured - outside).startswith(f"above ({100 * outside:+.2f}")
    assert of(measured + outside).startswith(f"below ({-100 * outside:+.2f}")


def test_few_seeds_decide_nothing(runs):
    assert published_for(runs().add("rfs/simple"), "rfs/simple")[1].published[0].text.endswith(", 1 seed)")
    _, cell = published_for(runs(seeds=(0, 1)).add("rfs/simple"), "rfs/simple")
    assert cell.published[0].text.startswith("undecided (")
    assert cell.published[0].text.endswith(", 2 seeds)")


def test_published_numbers_stand_beside_their_row_with_their_source(runs):
    bench = runs().add("rfs/simple", 0.7).add("mine/only", 0.7)
    text = bench.text(published=True)
    (line,) = [line for line in text.splitlines() if "71.50" in line]
    columns = [column.strip() for column in line.strip("|").split("|")]
    assert columns[:2] == ["rfs/simple", "5-way 1-shot"]
    assert columns[2] == bench.cells()["rfs/simple"]["5-way 1-shot"].strip("*")
    assert columns[3] == "71.50 ± 0.80"
    assert "2003.11539" in columns[5]
    assert "mine/only | 5-way" not in " ".join(text.split())


@pytest.mark.parametrize(
    ("plan", "stage", "reason"),
    [
        ({}, {"backbone": "conv4"}, "backbone conv4"),
        ({}, {"preset": "quick"}, "preset quick"),
        ({}, {"changed": ["alpha"], "options": {"alpha": 3}}, "changed alpha"),
        ({"budget": 1000}, {}, "budget"),
        ({"classifier": "cosine"}, {}, "another head"),
        ({"views": 3}, {}, "another head"),
        ({"weights": "w.safetensors"}, {}, "given weights"),
        ({"notes": ("partial data (1 of 2)",)}, {}, "partial data"),
        ({"train_on": "trainval"}, {}, "trained on trainval, not train"),
    ],
)
def test_what_was_trained_otherwise_is_not_compared(runs, plan, stage, reason):
    _, cell = published_for(runs(seeds=(0, 1, 2), **plan).add("rfs/simple", **stage), "rfs/simple")
    assert cell.published[0].text == f"not comparable ({reason})"


@pytest.mark.parametrize(
    ("train_on", "preset", "one_shot", "five_shot"),
    [
        ("trainval", "paper", "agrees", "not comparable (preset paper, not paper-5-shot)"),
        ("trainval", "paper-5-shot", "not comparable (preset paper-5-shot, not paper or learn2learn)", "agrees"),
        ("train", "paper", "not comparable (trained on train, not trainval)", "not comparable ("),
    ],
)
def test_protonet_is_compared_with_the_numbers_of_its_training_episodes(runs, train_on, preset, one_shot, five_shot):
    """The paper trains 1-shot and 5-shot episodes for its 1-shot and 5-shot numbers, on train and val."""
    bench = runs(dataset="miniImageNet", seeds=(0, 1, 2), train_on=train_on)
    bench.add("protonet", (0.49, 0.50, 0.48), preset=preset, backbone="conv4")
    bench.add("protonet-5=protonet", (0.68, 0.69, 0.67), preset=preset, backbone="conv4", method="protonet",
              stage="protonet", row="five")  # fmt: skip
    assert published_for(bench, "protonet", 1)[1].published[0].text.startswith(one_shot)
    assert published_for(bench, "five", 5)[1].published[0].text.startswith(five_shot)


# ── for programs ──────────────────────────────────────────────────────────────────────────────────


def test_csv_has_a_line_for_each_row_setting_and_interval(runs):
    bench = runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0", 0.6).add("bad/x", failure="no luck")
    lines = list(csv.DictReader(io.StringIO(bench.text("csv"))))
    keys = [(line["method"], line["k_shot"], line["interval"]) for line in lines]
    assert keys == [
        *((name, k, interval) for name in ("rfs/simple", "skd/gen0") for k in ("1", "5")
          for interval in ("closed", "open", "class")),
        ("bad/x", "", ""),
    ]  # fmt: skip
    first = lines[0]
    assert {line["dirichlet"] for line in lines[:-1]} == {"0.0"}
    assert float(first["accuracy"]) == pytest.approx(closed(bench, "rfs/simple").mean())
    assert first["note"] == "these weights, not these methods"
    assert [bool(line["difference"]) for line in lines] == [
        line["method"] == "skd/gen0" and line["interval"] == "open" for line in lines
    ]
    assert lines[-1]["failure"] == "seed 0: no luck"


def test_json_holds_everything_and_parses_strictly(runs):
    bench = (
        runs(baseline="rfs/simple", n_classes=5).add("rfs/simple").add("skd/gen0", history=[{"epoch": 1, "loss": 2.5}])
    )

    def no_constants(text):
        raise AssertionError(text)

    parsed = json.loads(bench.text("json"), parse_constant=no_constants)
    (table,) = parsed["tables"]
    first, second = table["rows"]
    assert table["plan"]["baseline"] == "rfs/simple"
    assert first["cells"]["5-way 1-shot"]["intervals"]["closed"]["mean"] == pytest.approx(
        closed(bench, "rfs/simple").mean()
    )
    assert second["history"] == [[{"epoch": 1.0, "loss": 2.5}]]
    assert first["cells"]["5-way 1-shot"]["intervals"]["class"]["half_width"] is None  # every class is in every episode


def test_latex_is_escaped_and_ruled(runs):
    bench = runs(baseline="a_b/x").add("a_b/x", backbone="timm:r_18").add("50%&#$/y", 0.7)
    text = bench.text("latex")
    body = "".join(line + "\n" for line in text.splitlines() if not line.startswith("%"))
    assert body.count("\\toprule") == body.count("\\midrule") == body.count("\\bottomrule") == 2
    assert "a\\_b/x" in body
    assert "timm:r\\_18" in body
    assert "50\\%\\&\\#\\$/y" in body
    assert "\\textbf{" in body
    assert "$\\pm$" in body
    assert "±" not in body
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert {line.replace("\\&", "").count("&") for line in rows} == {8, 5}
    assert "% bench abc123" in text


def test_a_line_break_does_not_leave_a_latex_comment(runs):
    text = runs(notes=("first\nsecond",)).add("rfs/simple").text("latex")
    assert "% CIFAR-FS (first second)" in text


# ── html ──────────────────────────────────────────────────────────────────────────────────────────

EVIL = "<script>alert('x')</script>"
QUOTE = '" onload="alert(1)'


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_has_the_tables_the_figures_and_the_conditions(runs):
    history = [{"epoch": i, "loss": 1 / i, "val_accuracy": 0.3 + 0.1 * i} for i in (1, 2, 3)]
    bench = runs(baseline="rfs/simple", seeds=(0, 1, 2)).add("rfs/simple", 0.7, history=history).add("skd/gen0", 0.72)
    page = Page(bench.text("html", published=True))
    assert page.open == []
    text = " ".join(" ".join(page.texts).split())
    for words in ("Differences from rfs/simple", "Published numbers", "71.50 ± 0.80", "Cost", "1,000", "bench abc123",
                  "Paired differences from rfs/simple on open episodes", "new images of these classes"):  # fmt: skip
        assert words in text, words
    row = bench.report().tables[0].rows[0].cells[SPECS[0]].intervals
    for interval in row.values():
        assert f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}" in text
    assert [tag for tag, _ in page.elements].count("figure") == 5
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_html_fetches_nothing_and_runs_nothing(runs):
    page = Page(runs(baseline="rfs/simple").add("rfs/simple").add("skd/gen0").text("html"))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "img", "object", "embed", "foreignobject", "a", "image"}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "action", "formaction"), (tag, name)
            if name in ("href", "xlink:href"):
                assert value.startswith("#"), value
            assert "url(" not in (value or "") or "url(#" in value
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("evil", [EVIL, QUOTE, "</title><script>x", "{{ 7 * 7 }}", "$x^$", "a\\b", "]]>", "<!--"])
def test_untrusted_text_is_text_everywhere_in_html(runs, evil):
    bench = runs(baseline=f"{evil}/x", notes=(evil,), weights=evil)
    about = {"preset": evil, "changed": ["a"], "options": {"a": evil}, "backbone": evil, "conditions": {"device": evil}}
    bench.add(f"{evil}/x", 0.5, history=[{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}], **about)
    bench.add("skd/gen0", 0.6).add(f"{evil}/y", failure=evil)
    source = bench.text("html", published=True)
    page = Page(source)
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe"}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert evil in "".join(page.texts)
    assert "49" not in source or evil != "{{ 7 * 7 }}" or "{{ 7 * 7 }}" in "".join(page.texts)


def test_html_without_jinja2_is_told_in_one_line(runs, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(HarnessError, match=r"needs jinja2. Run: pip install 'fsl-harness\[html\]'"):
        runs().add("rfs/simple").text("html")


# ── figures ───────────────────────────────────────────────────────────────────────────────────────


def test_every_figure_is_written_as_png_svg_and_pdf(runs, tmp_path):
    history = [{"epoch": i, "loss": 1 / i} for i in (1, 2, 3)]
    bench = runs(baseline="rfs/simple").add("rfs/simple", history=history).add("skd/gen0", 0.6)
    written = save_plots(bench.report(), tmp_path / "figures")
    assert sorted(path.name for path in written) == sorted(
        f"CIFAR-FS-{name}.{ending}"
        for name in ("accuracy", "differences", "cost", "learning-curves")
        for ending in ("png", "svg", "pdf")
    )
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)
    before = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in save_plots(bench.report(), tmp_path / "figures")} == before


def test_two_benches_of_one_dataset_have_figures_of_their_own(runs, tmp_path):
    bench = runs().add("rfs/simple").save("first").save("second")
    report = Report.of([(bench.output, record) for record in load_benches(bench.output)])
    names = {path.name for path in save_plots(report, tmp_path) if path.suffix == ".png"}
    assert names == {"CIFAR-FS-accuracy.png", "CIFAR-FS-cost.png", "CIFAR-FS-2-accuracy.png", "CIFAR-FS-2-cost.png"}


def drawn(figure):
    """All points of the lines in a figure's panels."""
    return [(line.get_xdata(), line.get_ydata(), line.get_color()) for axes in figure.axes for line in axes.lines]


def test_the_accuracy_figure_shows_every_interval_where_it_is(runs):
    bench = runs().add("rfs/simple", 0.5).add("pixels", 0.3, floor=True)
    table = bench.report().tables[0]
    (figure,) = [plot.figure for plot in plots(table) if plot.name == "accuracy"]
    spans = {(round(float(x[0]), 6), round(float(x[1]), 6)): colour for x, _, colour in drawn(figure) if len(x) == 2}
    for row in table.rows:
        colours = set()
        for cell in row.cells.values():
            for interval in cell.intervals.values():
                colours.add(spans[round(100 * interval.low, 6), round(100 * interval.high, 6)])
        assert len(colours) == (1 if row.floor else 3)


def test_the_figure_of_differences_has_a_zero_line_and_hollow_dots_where_nothing_is_proven(runs):
    values = np.random.default_rng(0).uniform(0.3, 0.6, N_CLOSED + 200)
    bench = runs().add("a/x", values=values).add("b/x", values=values + 0.1).add("c/x", values=values)
    (figure,) = [plot.figure for plot in plots(bench.report(baseline="a/x").tables[0]) if plot.name == "differences"]
    panel = figure.axes[0]
    assert any(list(line.get_xdata()) == [0, 0] for line in panel.lines)
    dots = {line.get_ydata()[0]: line.get_markerfacecolor() for line in panel.lines if line.get_marker() == "o"}
    assert [label.get_text() for label in panel.get_yticklabels()] == ["b/x", "c/x"]
    assert dots[0] == "#0072b2"
    assert dots[1] == (1.0, 1.0, 1.0, 1.0)


def test_an_interval_that_is_infinite_is_a_dot_alone(runs):
    table = runs(n_classes=5).add("rfs/simple").report().tables[0]
    assert math.isinf(table.rows[0].cells[SPECS[0]].intervals["class"].half_width)
    (figure,) = [plot.figure for plot in plots(table) if plot.name == "accuracy"]
    assert all(np.isfinite(np.asarray(x, float)).all() for x, _, _ in drawn(figure))


def test_no_figure_changes_matplotlib_for_others(runs):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots(runs().add("rfs/simple").report().tables[0])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["$\\frac{$/x", "字/x", "a<b>&c/x", "_^/x"])
def test_figures_take_any_name(runs, tmp_path, name):
    bench = runs(baseline=name).add(name, history=[{"epoch": 1, "loss": 2}, {"epoch": 2, "loss": 1}]).add("skd/gen0")
    assert save_plots(bench.report(), tmp_path / "figures")


@pytest.mark.parametrize("n", [1, 3, 5])
def test_figures_take_any_number_of_settings(runs, n):
    specs = [EpisodeSpec(5, k_shot, 5) for k_shot in range(1, n + 1)]
    bench = runs(baseline="rfs/simple", specs=specs).add("rfs/simple").add("skd/gen0", 0.6)
    figures = {plot.name: plot.figure for plot in plots(bench.report().tables[0])}
    for name, each in (("accuracy", 1), ("differences", 1), ("cost", 2)):
        shown = [panel for panel in figures[name].axes if panel.get_visible()]
        assert len(shown) == each * n
        assert [panel.get_title() for panel in shown if panel.get_title()] == [str(spec) for spec in specs]


# ── a real bench ──────────────────────────────────────────────────────────────────────────────────


def test_a_real_bench_is_reported_in_every_format(run_bench, tmp_path, catalogue):
    record = run_bench(methods=("pixels", "untrained"), floors=False, baseline="pixels")
    report = Report.of([(tmp_path / "runs", record)])
    for form, words in {
        "markdown": "| pixels ", "csv": "untrained,", "json": '"name": "pixels"', "latex": "\\toprule", "html": "<svg",
    }.items():  # fmt: skip
        assert words in render(report, form, catalogue)


def test_the_command_writes_figures_and_html_and_prints_the_table(runs, tmp_path, capsys):
    from harness.cli.main import main

    bench = runs().add("rfs/simple").save()
    assert main(["report", str(bench.output), "--plots", str(tmp_path / "figures")]) == 0
    captured = capsys.readouterr()
    assert captured.out == bench.text()
    assert captured.err == f"6 files with figures in {tmp_path / 'figures'}\n"
    assert main(["report", str(bench.output), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text() == bench.text("html")


def test_a_folder_for_figures_that_cannot_be_written_is_one_line(runs, tmp_path, capsys):
    from harness.cli.main import main

    bench = runs().add("rfs/simple").save()
    (tmp_path / "file").write_text("")
    assert main(["report", str(bench.output), "--plots", str(tmp_path / "file" / "figures")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("harness: cannot write ")
    assert len(error.splitlines()) == 1

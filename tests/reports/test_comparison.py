"""harness/reports: differences from a baseline, and verdicts against published numbers."""

from __future__ import annotations

import csv
import math
from importlib import resources

import numpy as np
import pytest
from scipy import stats

from harness.bench.plan import validated
from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.contract.results import Score
from harness.reports.formats.markdown import difference_rows
from harness.reports.published import OPTIONS, Published, verdict
from harness.reports.words import p_value
from harness.runs import StageFolder
from harness.statistics.behrens_fisher import half_width
from tests.helpers.reports import CONDITIONS, N_CLOSED, SPECS, Bench, closed

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
    assert [line["p (Wilcoxon)"] for line in lines] == [p_value(p) for p in raw]
    assert [line["p (Wilcoxon, Holm)"] for line in lines] == [p_value(running[rank]) for rank in ranks]


def test_p_agrees_with_its_interval_and_holm_with_the_bold_type(runs):
    bench = runs().add("a/x", 0.5)
    for i in range(6):
        bench.add(f"{'b' * (i + 1)}/x", 0.5 + 0.006 * i)  # the helper draws by the length of the name
    bench.add("a-row-without-doubt/x", 0.8)
    lines = difference_rows(bench.report(baseline="a/x").tables[0])
    seen = set()
    for line in lines:
        mean, half_width = (float(number) for number in line["difference"].strip("*").split(" ± "))
        raw, adjusted = (float(line[name].lstrip("< ")) for name in ("p (t)", "p (t, Holm)"))
        assert (raw < 0.05) == (abs(mean) > half_width)
        assert (adjusted < 0.05) == line["difference"].startswith("**")
        assert adjusted >= raw
        seen.add((raw < 0.05, adjusted < 0.05))
    assert len(seen) == 3  # also rows whose interval leaves 0 out and which are no finding


def test_floors_and_the_baseline_and_stages_under_second_labels_are_no_more_tests(runs):
    def lines(bench):
        return {(line["method"], line["setting"]): line for line in difference_rows(bench.report().tables[0])}

    def again(bench, name, label):
        (stage,) = [stage for stage in bench.stages if stage.row == name]
        bench.stages.append(stage.model_copy(update={"label": label, "row": f"{label}/x"}))

    def two_rows():
        return runs(baseline="a/x").add("a/x", 0.5).add("bb/x", 0.53).add("ccc/x", 0.515)

    plain, more = two_rows(), two_rows().add("floor/x", 0.2, floor=True)
    again(more, "a/x", "a2")
    again(more, "bb/x", "bb2")
    without, found = lines(plain), lines(more)
    assert all(found[where] == line for where, line in without.items())
    for k_shot in (1, 5):
        setting = f"5-way {k_shot}-shot"
        assert (found["floor/x", setting]["p (t)"], found["floor/x", setting]["p (t, Holm)"]) == ("< 0.001", "-")
        assert (found["a2/x", setting]["p (t)"], found["a2/x", setting]["p (t, Holm)"]) == ("1.000", "-")
        assert {**found["bb2/x", setting], "method": "bb/x"} == found["bb/x", setting]
    for form in ("html", "latex", "csv", "json"):
        assert more.text(form, baseline="a/x")


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
    assert (equal["p (t)"], equal["p (t, Holm)"], equal["p (Wilcoxon)"]) == ("1.000", "1.000", "1.000")
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
    for key, other in zip(bench.stages[0].scores, bench.stages[1].scores, strict=True):
        folder = StageFolder(bench.output / bench.stages[1].folder)
        kept = StageFolder(bench.output / bench.stages[0].folder).load_score(key)
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
    assert "They are about these methods on new images of these classes" in text((0, 1, 2))


# ── equivalence and new classes ───────────────────────────────────────────────────────────────────


def with_margin(runs, **about):
    """Rows that are better, worse, the same but for a hair, and too noisy to tell, each against a/x."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.6, N_CLOSED + 200)
    bench = runs(**about).add("a/x", values=base)
    bench.add("better/x", values=base + 0.05 + rng.normal(0, 0.01, len(base)))
    bench.add("worse/x", values=base - 0.05 + rng.normal(0, 0.01, len(base)))
    bench.add("equal/x", values=base + rng.normal(0, 0.002, len(base)))
    return bench.add("noisy/x", values=base + rng.normal(0, 0.1, len(base)))


RELATIONS = {"better/x": "better", "worse/x": "worse", "equal/x": "practically equal", "noisy/x": "undecided"}


def test_each_row_is_better_worse_practically_equal_or_undecided(runs):
    bench = with_margin(runs)
    lines = difference_rows(bench.report(baseline="a/x", equivalent=0.5).tables[0])
    assert {(line["method"], line["relation"]) for line in lines} == set(RELATIONS.items())
    assert "relation" not in difference_rows(bench.report(baseline="a/x").tables[0])[0]


def test_equivalence_is_corrected_by_holm_over_rows_and_settings(runs):
    """The raw p-values are one-sided t-tests of scipy; there are too few episodes to take class effects out."""
    bench = runs(n_classes=40, n_images=12).add("a/x", 0.5).add("bb/x", 0.53).add("ccc/x", 0.52)
    (table,) = bench.report(baseline="a/x", equivalent=6).tables
    raw, shown = [], []
    for row in table.rows[1:]:
        for spec, cell in row.cells.items():
            difference = closed(bench, row.name, 0, spec.k_shot, "open") - closed(bench, "a/x", 0, spec.k_shot, "open")
            raw.append(
                max(
                    stats.ttest_1samp(difference, -0.06, alternative="greater").pvalue,
                    stats.ttest_1samp(difference, 0.06, alternative="less").pvalue,
                )
            )
            shown.append(cell.compared.equivalence)
    assert [one.p for one in shown] == pytest.approx(raw)
    running = np.maximum.accumulate(np.sort(raw) * np.arange(4, 0, -1)).clip(max=1)
    assert [one.holm_p for one in shown] == pytest.approx(running[np.argsort(np.argsort(raw))])


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_says_what_each_row_is(runs, form):
    text = with_margin(runs, baseline="a/x", equivalent=0.5).text(form)
    for name in RELATIONS.values():
        assert name in text
    if form in ("markdown", "html"):
        assert "within ± 0.5 points" in text


def test_a_margin_without_a_baseline_is_told(runs):
    with pytest.raises(HarnessError, match="--equivalent needs a row to be equivalent to: add --baseline ROW"):
        runs().add("a/x").report(equivalent=0.5)
    with pytest.raises(HarnessError, match="--equivalent needs a row"):
        validated({"equivalent": 0.5})
    for bad in (0, -1, 100, math.nan):
        with pytest.raises(HarnessError, match="--equivalent ="):
            validated({"equivalent": bad, "baseline": "a/x"})


def test_a_difference_on_new_classes_counts_what_classes_do(runs):
    """Rows that differ on some classes only: sure on these classes, not on new ones."""
    bench = runs().add("a/x", 0.5)
    (spec,) = [spec for spec in SPECS if spec.k_shot == 1]
    episodes = next(one for one in bench.episodes if one.spec == spec and one.target == "open")
    effects = np.where(np.arange(20) < 3, 0.5, 0.0)
    shift = effects[episodes.classes].mean(axis=1)
    bench.add("b/x", values=np.concatenate([closed(bench, "a/x", 0, 1, "open") + shift, np.full(400, 0.5)]))
    compared = bench.report(baseline="a/x").tables[0].rows[1].cells[spec].compared
    assert compared.found.t_p < 1e-6
    assert compared.holm_class_p > 0.05
    assert compared.found.new_classes.name == "class"


AS_RFS = {"optimiser": "sgd", "selection": "last"}

# ── published numbers ─────────────────────────────────────────────────────────────────────────────


def published_for(bench, name, k_shot=1):
    (row,) = [row for row in bench.report(published=True).tables[0].rows if row.name == name]
    (cell,) = [cell for spec, cell in row.cells.items() if spec.k_shot == k_shot]
    return row, cell


def test_a_verdict_is_the_arithmetic_of_the_page_on_reports(runs):
    bench = runs(seeds=(0, 1, 2)).add("rfs/simple", (0.70, 0.71, 0.72))
    by_seed = np.array([closed(bench, "rfs/simple", seed) for seed in (0, 1, 2)])  # (S, E)
    se = by_seed.mean(axis=0).std(ddof=1) / math.sqrt(N_CLOSED)
    of_seeds = by_seed.mean(axis=1).var(ddof=1) * (1 + 1 / 3)
    bound = half_width([(of_seeds, 2), (se**2 + (0.008 / 1.96) ** 2, math.inf)], 0.95)
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
        ({}, {"backbone": "conv4"}, "backbone conv4, not ResNet-12 with 640 features"),
        ({}, {"preset": "quick"}, "preset quick"),
        ({}, {"changed": ["momentum"], "options": {**AS_RFS, "momentum": 0}}, "changed momentum"),
        ({}, {"changed": ["optimiser"], "options": {**AS_RFS, "optimiser": "adam"}}, "optimiser adam, not sgd"),
        ({}, {"options": {**AS_RFS, "selection": "best-val"}}, "selection best-val, not last"),
        ({}, {"options": {"optimiser": "sgd"}}, "selection unknown, not last"),
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


AS_SNELL = {"train_way": 30, "train_shot": 1, "train_query": 15, "optimiser": "adam", "selection": "last"}


def protonet_verdicts(runs, dataset="miniImageNet", k_shot=1, backbone="conv4", **options):
    bench = runs(dataset=dataset, seeds=(0, 1, 2), train_on=options.pop("train_on", "train"))
    bench.add("protonet", (0.49, 0.50, 0.48), backbone=backbone, options=AS_SNELL | options)
    return [verdict.text for verdict in published_for(bench, "protonet", k_shot)[1].published]


@pytest.mark.parametrize(
    ("k_shot", "options", "reasons"),
    [
        (1, {}, "selection last, not early stopping on validation loss"),
        (1, {"selection": "early stopping on validation loss"}, None),
        (
            1,
            {"selection": "early stopping on validation loss", "train_on": "trainval"},
            "trained on trainval, not train",
        ),
        (5, {}, "train_way 30, not 20, train_shot 1, not 5, selection last, not early stopping on validation loss"),
        (5, {"train_way": 20, "train_shot": 5, "selection": "early stopping on validation loss"}, None),
    ],
)
def test_the_numbers_of_prototypical_networks_have_the_conditions_of_their_paper(runs, k_shot, options, reasons):
    """Snell et al., 3.2: the 64 training classes, 30-way 1-shot and 20-way 5-shot episodes, stopped on validation."""
    (text,) = protonet_verdicts(runs, k_shot=k_shot, **options)
    assert text == f"not comparable ({reasons})" if reasons else text.split()[0] in ("agrees", "above", "below")


def test_a_rerun_on_other_features_and_with_another_optimiser_is_no_equal(runs):
    """The ResNet-12 rows are MetaOptNet's: 2,560 features, SGD with Nesterov, 5-way episodes of 6 queries."""
    texts = protonet_verdicts(runs, dataset="CIFAR-FS", backbone="resnet12")
    (rerun,) = [text for text in texts if "ResNet-12" in text]
    assert rerun == (
        "not comparable (backbone resnet12, not ResNet-12 with 2,560 features, train_way 30, not 5, "
        "train_query 15, not 6, optimiser adam, not sgd with Nesterov momentum, selection last, not best-val)"
    )


@pytest.mark.parametrize("dataset", ["CIFAR-FS", "FC100", "tieredImageNet"])
def test_what_third_papers_trained_is_unknown_and_decides_nothing(runs, dataset):
    (text,) = protonet_verdicts(runs, dataset=dataset)
    assert text.startswith("not comparable (unknown of the published number: features and spread and train_on")


@pytest.mark.parametrize("stage", ["distill-1", "distill-2", "distill-3"])
def test_how_many_generations_distill_had_is_unknown(runs, stage):
    _, cell = published_for(runs(seeds=(0, 1, 2)).add(f"rfs/{stage}", stage=stage), f"rfs/{stage}")
    (verdict_,) = cell.published
    assert verdict_.accuracy == pytest.approx(0.739)
    assert verdict_.text == "not comparable (unknown of the published number: generations)"


@pytest.mark.parametrize(
    ("dataset", "stage", "unknown"),
    [
        ("CIFAR-FS", "gen1", None),
        ("FC100", "gen1", None),
        ("miniImageNet", "gen0", None),
        ("miniImageNet", "gen1", "beta"),
        ("tieredImageNet", "gen1", "beta and gen1_decay_at"),
    ],
)
def test_settings_of_skd_that_are_published_nowhere_decide_nothing(runs, dataset, stage, unknown):
    for preset in ("paper", "reference-code"):
        bench = runs(dataset=dataset, seeds=(0, 1, 2)).add(f"skd/{stage}", 0.7, preset=preset)
        (verdict_,) = published_for(bench, f"skd/{stage}")[1].published
        expected = f"not comparable (unknown of the published number: {unknown})"
        assert verdict_.text == expected if unknown else not verdict_.text.startswith("not comparable")


def test_the_conv4_of_rfs_is_compared_with_its_own_backbone_alone(runs):
    """RFS, table of backbones, CIFAR-FS 1-shot: 62.7 with Conv-4 of 64 averaged features, 71.5 with ResNet-12."""
    bench = runs(seeds=(0, 1, 2))
    for backbone in ("conv4", "conv4-gap", "resnet12"):
        bench.add(f"{backbone}=rfs/simple", 0.62, backbone=backbone, method="rfs", stage="simple", row=backbone)
    texts = {
        backbone: {verdict_.accuracy: verdict_.text for verdict_ in published_for(bench, backbone)[1].published}
        for backbone in ("conv4", "conv4-gap", "resnet12")
    }
    assert texts["conv4-gap"].keys() == {0.627}
    assert texts["resnet12"].keys() == {0.715}
    assert not any("not comparable" in text for name in ("conv4-gap", "resnet12") for text in texts[name].values())
    assert texts["conv4"].keys() == {0.627, 0.715}
    assert texts["conv4"][0.627] == "not comparable (backbone conv4, not Conv-4 (64-64-64-64) with 64 features)"


# ── the file ──────────────────────────────────────────────────────────────────────────────────────


def lines():
    text = resources.files("harness.reports").joinpath("published.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_every_number_tells_its_conditions_or_that_they_are_unknown():
    episodic = ("ProtoNet", "MAML", "MatchingNet", "MetaOptNet-SVM", "MetaOptNet-RR", "LEO")
    for line in lines():
        columns = ["features", "spread", "train_on", "optimiser", "selection"]
        columns += ["train_way", "train_shot", "train_query"] if line["method"] in episodic else []
        for column in columns:
            assert bool(line[column]) != (column in line["unknown"].split()), (column, line)
        assert line["source"]
        known = any(line[column] for column in columns)
        assert bool(line["conditions_source"]) == known, line


def test_the_file_names_backbones_and_presets_and_options_that_there_are():
    from harness.catalogue.catalogue import Catalogue

    catalogue = Catalogue.discover()
    for line in lines():
        if line["installed_backbone"]:
            assert catalogue.backbone(line["installed_backbone"])
        method = catalogue.methods.get(line["row"].partition("/")[0])
        if method is not None:
            assert set(line["presets"].split()) <= set(method.presets)
            fields = set(method.options.model_fields)
            told = {"features", "spread", "train_on"}
            assert {name for name in OPTIONS if line[name]} <= fields
            assert set(line["unknown"].split()) - told <= fields


def test_no_number_has_the_trainval_classes_of_a_later_table():
    """The mark "train + val" beside prototypical networks is MetaOptNet's table's, not their paper's."""
    assert {line["train_on"] for line in lines() if line["method"] == "ProtoNet"} == {"train", ""}

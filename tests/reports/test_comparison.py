"""harness/reports/comparing.py: differences from a baseline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.bench.plan import validated
from harness.common.errors import HarnessError, RunsError, UnknownName
from harness.contract.results import Score
from harness.reports.formats.differences import difference_rows
from harness.reports.words import p_value
from harness.runs import StageFolder
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

"""harness/bench/plan.py, notation.py, entries.py and options.py: what was asked for, and which value wins."""

from __future__ import annotations

import math
import re

import pytest

from harness.bench.entries import entries
from harness.bench.notation import comma_list, parse_budget, parse_setting, parse_settings
from harness.bench.plan import load_plan, validated
from harness.common.errors import HarnessError, UnknownName
from harness.contract.plan import BenchPlan
from harness.contract.presets import resolve


def plan_file(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("skd.alpha=2", ("skd.alpha", 2)),
        ("skd.alpha=2.5", ("skd.alpha", 2.5)),
        ("skd.twin=random", ("skd.twin", "random")),
        ("rfs.decay_at=30,40", ("rfs.decay_at", [30, 40])),
        ("rfs.decay_at=[30]", ("rfs.decay_at", [30])),
        ("x.flag=true", ("x.flag", True)),
        ("x.value=None", ("x.value", None)),
        ("x.text=a=b", ("x.text", "a=b")),
    ],
)
def test_settings_are_parsed(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["alpha=2", "skd.alpha", ""])
def test_a_malformed_setting_says_how_to_write_it(text):
    with pytest.raises(HarnessError, match=r"LABEL\.OPTION=VALUE"):
        parse_setting(text)


@pytest.mark.parametrize("text", ["2000x", "images=", "images=-3", "images=0", "epochs=3", "images=many"])
def test_a_malformed_budget_says_how_to_write_it(text):
    with pytest.raises(HarnessError, match="images=N"):
        parse_budget(text)


def test_a_budget_may_group_its_digits():
    assert parse_budget("images=2_000_000") == 2_000_000
    assert [parse_budget(text) for text in ("images=8k", "1.5M", "450000")] == [8_000, 1_500_000, 450_000]


def test_precedence_defaults_preset_dataset_budget_set(catalogue):
    rfs = catalogue.method("rfs")
    assert resolve(rfs, "paper", "CIFAR-FS").epochs == 90
    assert resolve(rfs, "paper", "miniImageNet").epochs == 100
    assert resolve(rfs, "quick", "glyphs").images < resolve(rfs, "quick", "CIFAR-FS").images
    plan = BenchPlan(methods=("rfs",), budget=5000, set={"rfs.images": 7000})
    (entry,) = [entry for entry in entries(plan, "glyphs", catalogue) if entry.label == "rfs"]
    assert entry.options.images == 7000
    plan = BenchPlan(methods=("rfs",), budget=5000)
    (entry,) = [entry for entry in entries(plan, "glyphs", catalogue) if entry.label == "rfs"]
    assert entry.options.images == 5000


@pytest.mark.parametrize(
    ("preset", "value", "changed"),
    [
        ("reference-code", "whole", ["dropblock_masks"]),
        ("paper", "reference", ["dropblock_masks"]),
        ("paper", "whole", []),
    ],
)
def test_an_option_set_back_to_its_default_differs_from_a_preset_that_changes_it(catalogue, preset, value, changed):
    plan = BenchPlan(methods=(f"rfs:{preset}",), floors=False, set={"rfs.dropblock_masks": value})
    (entry,) = entries(plan, "CIFAR-FS", catalogue)
    assert entry.changed_for("simple") == entry.changed_for("distill-2") == changed


@pytest.mark.learn2learn
@pytest.mark.parametrize("dataset", ["glyphs", "CIFAR-FS", "tieredImageNet"])
def test_a_budget_is_every_training_length(catalogue, dataset):
    """Gen-1 of skd has a length of its own in the preset quick of glyphs."""
    methods = ("skd", "rfs", "protonet")
    for entry in entries(BenchPlan(methods=methods, floors=False, budget=5000), dataset, catalogue):
        lengths = {name: n for name, n in entry.options.model_dump().items() if name.endswith("images") and n}
        assert set(lengths.values()) == {5000}, entry.label


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": (0, 1, 0)}, "--seeds = (0, 1, 0): 0 is there twice"),
        ({"seeds": (-1,)}, "--seeds = -1: input should be greater than or equal to 0"),
        ({"shots": (1, 1)}, "--shots = (1, 1): 1 is there twice"),
        ({"way": (5, 0)}, "--way = 0"),
        ({"dataset": ("glyphs", "glyphs")}, "glyphs is there twice"),
        ({"episodes": 60.0}, "--episodes = 60.0: input should be a valid integer"),
        ({"seeds": True}, "--seeds = True: input should be a valid integer"),
        ({"episodes": 10**9}, "--episodes = 1000000000: input should be less than or equal to 1000000"),
        ({"views": 10**6}, "--views = 1000000"),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_one_line(values, message):
    with pytest.raises(HarnessError) as error:
        load_plan(None, values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_plan_file_takes_numbers_as_the_command_line_does(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('seeds = "0-2"\nshots = "1,5"\ndataset = "glyphs"\n[sweep]\n"skd.beta" = 0.1\n')
    plan = load_plan(path, {})
    assert (plan.seeds, plan.shots, plan.dataset) == ((0, 1, 2), (1, 5), ("glyphs",))
    assert plan.sweep == {"skd.beta": (0.1,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-1", "'3-1' names no number. Write it as 1,5 or 0-4"),
        ("0-", "'0-' is no whole number"),
        ("0-99999999", "names 100,000,000 numbers; at most 10,000 go"),
        ("", "names nothing"),
    ],
)
def test_a_list_of_numbers_that_is_none_is_told(text, message):
    with pytest.raises(HarnessError, match=re.escape(message)):
        comma_list(text, int, "--seeds")


@pytest.mark.parametrize("text", ["set = 3\n", "[set]\nrfs = 5\n", 'sweep = "x"\n'])
def test_a_plan_whose_settings_are_no_table_is_told(tmp_path, text):
    path = plan_file(tmp_path, text)
    with pytest.raises(HarnessError, match=r"is a table of LABEL\.OPTION = VALUE, found"):
        load_plan(path, {})


def test_what_does_not_go_together_is_refused_wherever_it_comes_from():
    with pytest.raises(HarnessError, match="--score-on val scores on the dataset's own validation classes"):
        validated({"score_on": "val", "test_dataset": "CIFAR-FS"})
    with pytest.raises(HarnessError, match="leaves no validation classes"):
        validated({"train_on": "trainval", "sweep": {"rfs.selection": ("last", "best-val")}})
    assert validated({"train_on": "trainval", "set": {"rfs.selection": "last"}}).train_on == "trainval"


def test_a_setting_given_twice_is_refused():
    with pytest.raises(HarnessError, match=r"--sweep skd.beta is given twice"):
        parse_settings(["skd.beta=0.1,0.2", "skd.beta=0.3"], "--sweep")


def test_what_a_head_cannot_be_is_refused_before_anything_runs(catalogue):
    with pytest.raises(UnknownName, match=r"unknown feature transform 'l3'. Did you mean 'l2'"):
        entries(BenchPlan(transform="l3"), "glyphs", catalogue)
    with pytest.raises(HarnessError, match=r"--weights nowhere.safetensors: no such file"):
        entries(BenchPlan(weights="nowhere.safetensors"), "glyphs", catalogue)
    with pytest.raises(HarnessError, match=r"rfs.learning_rate = inf: input should be a finite number"):
        entries(BenchPlan(methods=("rfs",), set={"rfs.learning_rate": math.inf}), "glyphs", catalogue)


def test_the_command_line_wins_over_the_plan_file(tmp_path):
    path = plan_file(tmp_path, 'methods = ["rfs"]\nshots = [1]\nepisodes = 50\n[set.rfs]\ntemperature = 2\n')
    plan = load_plan(path, {"episodes": 70, "set": {"rfs.ce_weight": 0.1}})
    assert (plan.shots, plan.episodes) == ((1,), 70)
    assert plan.set == {"rfs.temperature": 2, "rfs.ce_weight": 0.1}
    assert load_plan(path, {"set": {"rfs.temperature": 3}}).set == {"rfs.temperature": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods = [", "not valid TOML"),
        ("method = 'rfs'", "Did you mean 'methods'"),
        ("episodes = 'many'", "--episodes = 'many'"),
        ("shots = []", "--shots"),
        ("episodes = 0", "--episodes"),
    ],
)
def test_a_bad_plan_file_is_one_line(tmp_path, text, message):
    with pytest.raises(HarnessError) as caught:
        load_plan(plan_file(tmp_path, text), {})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_plan_file_is_told(tmp_path):
    with pytest.raises(HarnessError, match="cannot read the plan"):
        load_plan(tmp_path / "none.toml", {})


@pytest.mark.learn2learn
def test_without_methods_all_installed_ones_and_both_floors_run(catalogue):
    labels = [entry.label for entry in entries(BenchPlan(), "glyphs", catalogue)]
    assert labels[:2] == ["pixels", "untrained"]
    assert {"skd", "rfs", "protonet"} <= set(labels)


def test_a_method_may_appear_twice_under_labels(catalogue):
    plan = BenchPlan(methods=("skd", "skd-ref=skd:reference-code"), floors=False, set={"skd-ref.beta": 0.3})
    first, second = entries(plan, "CIFAR-FS", catalogue)
    assert (first.label, first.preset, second.label, second.preset) == ("skd", "quick", "skd-ref", "reference-code")
    assert (second.options.temperature, second.options.beta) == (2.0, 0.3)
    assert first.options.beta != 0.3


def test_the_untrained_floor_takes_the_backbone_beside_it(catalogue):
    floors = {entry.label: entry for entry in entries(BenchPlan(methods=("rfs:paper",)), "CIFAR-FS", catalogue)}
    assert floors["untrained"].backbone == floors["rfs"].backbone == "resnet12"
    assert floors["pixels"].backbone is None


def test_one_classifier_for_all_overrides_every_head(catalogue):
    plan = BenchPlan(classifier="cosine", views=3)
    heads = {str(entry.head) for entry in entries(plan, "glyphs", catalogue)}
    assert heads == {"cosine, l2, 3 views"}


@pytest.mark.parametrize("label", ["a/b", "a.b", ""])
def test_labels_that_would_confuse_rows_and_settings_are_refused(catalogue, label):
    with pytest.raises(HarnessError, match="label"):
        entries(BenchPlan(methods=(f"{label}=rfs",)), "glyphs", catalogue)


def test_an_unknown_preset_of_one_method_is_told(catalogue):
    with pytest.raises(UnknownName, match="preset of rfs 'reference-cod'"):
        entries(BenchPlan(methods=("rfs:reference-cod",)), "glyphs", catalogue)


def test_a_comma_within_a_path_is_written_with_a_backslash():
    assert comma_list(r"glyphs,folder:a\,b", str, "--dataset") == ("glyphs", "folder:a,b")

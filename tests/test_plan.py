"""harness/plan.py and harness/options.py: what was asked for, and which value wins."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, UnknownName
from harness.options import resolve
from harness.plan import BenchPlan, entries, load_plan, parse_budget, parse_setting


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


@pytest.mark.parametrize("text", ["2000", "images=", "images=-3", "images=0", "epochs=3", "images=many"])
def test_a_malformed_budget_says_how_to_write_it(text):
    with pytest.raises(HarnessError, match="images=N"):
        parse_budget(text)


def test_a_budget_may_group_its_digits():
    assert parse_budget("images=2_000_000") == 2_000_000


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


@pytest.mark.parametrize("dataset", ["glyphs", "CIFAR-FS", "tieredImageNet"])
def test_a_budget_is_every_training_length(catalogue, dataset):
    """Gen-1 of skd has a length of its own in the preset quick of glyphs."""
    methods = ("skd", "rfs", "protonet")
    for entry in entries(BenchPlan(methods=methods, floors=False, budget=5000), dataset, catalogue):
        lengths = {name: n for name, n in entry.options.model_dump().items() if name.endswith("images") and n}
        assert set(lengths.values()) == {5000}, entry.label


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

"""harness/reports/published.py: verdicts against published numbers, and the file of them."""

from __future__ import annotations

import csv
import math
from importlib import resources

import numpy as np
import pytest

from harness.reports.published import OPTIONS, Published, verdict
from harness.statistics.behrens_fisher import half_width
from tests.helpers.reports import N_CLOSED, SPECS, closed

AS_RFS = {"optimiser": "sgd", "selection": "last"}


def lines():
    text = resources.files("harness.reports").joinpath("published.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


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
    plan = {name: options.pop(name, default) for name, default in (("train_on", "train"), ("augment", "none"))}
    bench = runs(dataset=dataset, seeds=(0, 1, 2), **plan)
    bench.add("protonet", (0.49, 0.50, 0.48), backbone=backbone, options=AS_SNELL | options)
    return [verdict.text for verdict in published_for(bench, "protonet", k_shot)[1].published]


@pytest.mark.parametrize(
    ("k_shot", "options", "reasons"),
    [
        (1, {}, "selection last, not best-val-loss"),
        (1, {"selection": "best-val-loss"}, None),
        (
            1,
            {"selection": "best-val-loss", "train_on": "trainval"},
            "trained on trainval, not train",
        ),
        (
            1,
            {"selection": "best-val-loss", "augment": "standard"},
            "augmentation standard, not none",
        ),
        (5, {}, "train_way 30, not 20, train_shot 1, not 5, selection last, not best-val-loss"),
        (5, {"train_way": 20, "train_shot": 5, "selection": "best-val-loss"}, None),
    ],
)
def test_the_numbers_of_prototypical_networks_have_the_conditions_of_their_paper(runs, k_shot, options, reasons):
    """Snell et al., 3.2: the 64 training classes, 30-way 1-shot and 20-way 5-shot episodes, stopped on validation."""
    (text,) = protonet_verdicts(runs, k_shot=k_shot, **options)
    assert text == f"not comparable ({reasons})" if reasons else text.split()[0] in ("agrees", "above", "below")


def test_a_rerun_on_other_features_and_with_another_optimiser_is_no_equal(runs):
    """The ResNet-12 rows are MetaOptNet's: 2,560 features, SGD with Nesterov, 5-way episodes of 6 queries."""
    texts = protonet_verdicts(runs, dataset="CIFAR-FS", backbone="resnet12", augment="standard")
    (rerun,) = [text for text in texts if "ResNet-12" in text]
    assert rerun == (
        "not comparable (backbone resnet12, not ResNet-12 with 2,560 features, train_way 30, not 5, "
        "train_query 15, not 6, optimiser adam, not sgd with Nesterov momentum, selection last, not best-val)"
    )


@pytest.mark.parametrize("dataset", ["CIFAR-FS", "FC100", "tieredImageNet"])
def test_what_third_papers_trained_is_unknown_and_decides_nothing(runs, dataset):
    (text,) = protonet_verdicts(runs, dataset=dataset, augment="standard")
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

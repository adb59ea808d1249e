"""plugins/metric: its methods keep the contract, every loss learns, and its README tells what there is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.catalogue.catalogue import Catalogue
from harness.contract.presets import resolve
from harness.testing import check_method
from tests.helpers.fitting import accuracy_on_base, fitted, noise

harness_metric = pytest.importorskip("harness_metric", reason="harness-metric is not installed")
METRIC, METHODS = harness_metric.METRIC, {spec.name: spec for spec in harness_metric.harness_methods()}
SHORT = {
    "matching": {"episodes_per_epoch": 2, "train_query": 3, "images": 60},
    "relation": {"episodes_per_epoch": 2, "train_query": 3, "images": 60},
    "siamese": {"pairs_per_epoch": 16, "batch_pairs": 8, "images": 64, "width": 32},
    "metric": {"loss": "sphereface", "batch_size": 64, "images": 640},
}


@pytest.mark.parametrize("name", METHODS)
def test_it_keeps_the_contract(name):
    check_method(METHODS[name], options=SHORT[name])


def losses():
    from harness_metric.pretraining import LOSSES

    return LOSSES


@pytest.mark.parametrize("loss", losses())
def test_every_loss_learns_classes_that_have_nothing_in_common(plain, loss):
    """With the options of the preset: four classes of six images of noise, learnt by heart."""
    data = noise(plain)
    values = resolve(METRIC, "quick", "tiny").model_dump() | {"batch_size": 24, "images": 24 * 50, "loss": loss}
    network = fitted(METRIC, data, **values).network
    assert accuracy_on_base(network, data, head=Catalogue.discover().head(METRIC.head)) > 0.9  # chance: 0.25


@pytest.mark.parametrize("loss", ["center", "l-softmax", "sphereface", "cosface", "arcface"])
def test_the_weights_of_a_loss_are_trained_and_kept(plain, loss):
    data = noise(plain)
    untrained = fitted(METRIC, data, images=24, batch_size=24, learning_rate=1e-30, loss=loss).network.state_dict()
    trained = fitted(METRIC, data, images=24, batch_size=24, loss=loss).network.state_dict()
    name = "criterion.classifier.weight" if loss == "center" else "criterion.W"
    assert not np.allclose(untrained[name].numpy(), trained[name].numpy(), atol=1e-6)


# ── batches ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "per_class", "counts"), [(12, 2, [2] * 6), (12, 4, [4] * 3), (34, 2, [5, 5, *[4] * 6])]
)
def test_batches_of_pairs_hold_several_images_of_each_of_their_classes(tiny, size, per_class, counts):
    from harness_metric.metric_network import ClassBalancedBatches

    steps = list(ClassBalancedBatches(size, per_class).epoch(tiny.train, np.random.default_rng(0)))
    assert len(steps) == len(tiny.train) // size
    for step in steps:
        assert sorted(np.bincount(tiny.train.labels[step]), reverse=True)[: len(counts)] == counts
        assert len(np.unique(step)) == len(step) == size


def test_a_class_of_too_few_images_shows_some_twice(tiny):
    from harness_metric.metric_network import ClassBalancedBatches

    few = replace(tiny.train, labels=np.array([0, 1, 1]), class_names=("a", "b"), images=tiny.train.images[:3])
    (step,) = ClassBalancedBatches(8, 4).epoch(few, np.random.default_rng(0))
    assert np.bincount(few.labels[step]).tolist() == [4, 4]


def test_every_loss_gets_the_batches_that_it_needs():
    from harness_metric.metric_network import batches

    kinds = {loss: batches(METRIC.options(loss=loss)) for loss in losses()}
    assert {loss: each.per_class for loss, each in kinds.items() if hasattr(each, "per_class")} == {
        "triplet-hard": 4,
        "triplet-semi-hard": 4,
        "n-pairs": 2,
        "angular": 2,
    }
    assert not any(each.divisible for each in kinds.values())


# ── what users are told ───────────────────────────────────────────────────────────────────────────


def test_offering_the_methods_imports_neither_torch_nor_the_library():
    code = (
        "import sys, harness_metric as p; [list(s.stages(s.options())) for s in p.harness_methods()];"
        "print([name for name in ('torch', 'pytorch_metric_learning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_library_the_catalogue_says_what_to_install(monkeypatch):
    find_spec = importlib.util.find_spec
    missing = "pytorch_metric_learning"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == missing else find_spec(name, *a))
    found = Catalogue.discover()
    (broken,) = (each for each in found.broken if "metric" in each.plugin)
    assert "pip install pytorch-metric-learning" in broken.reason
    assert "rfs" in found.methods


@pytest.mark.parametrize("name", ["matching", "relation"])
def test_what_no_episode_can_be_drawn_from_is_said_with_the_setting_that_would_do(tiny, name):
    spec = METHODS[name]
    assert spec.check(spec.options(), tiny) is None
    assert "train_way=5" in spec.check(spec.options(train_way=9), tiny)
    assert "train_query=23" in spec.check(spec.options(train_query=24), tiny)


@pytest.mark.parametrize("name", ["siamese", "metric"])
def test_one_class_is_refused(tiny, name):
    one = replace(tiny.train, class_names=("only",), labels=np.zeros_like(tiny.train.labels))
    spec = METHODS[name]
    assert "one" in spec.check(spec.options(), replace(tiny, train=one))
    assert spec.check(spec.options(), tiny) is None


def test_the_readme_names_every_option_preset_and_loss():
    text = (Path(__file__).parents[2] / "plugins" / "metric" / "README.md").read_text(encoding="utf-8")
    names = [name for spec in METHODS.values() for name in (spec.name, *spec.options.model_fields, *spec.presets)]
    assert [name for name in (*names, *losses()) if f"`{name}`" not in text] == []

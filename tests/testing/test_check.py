"""harness/testing: what is installed keeps the contract; a backbone, classifier or dataset that breaks it is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import harness
from harness.catalogue.catalogue import Catalogue
from harness.common.errors import DataError, PluginError
from harness.common.randomness import seeded
from harness.testing import (
    backbone_checks,
    check_backbone,
    check_classifier,
    check_dataset,
    check_method,
    classifier_checks,
    dataset_checks,
    tiny_dataset,
)

INSTALLED = Catalogue.discover()
SMALL_GRAPH = {"node_features": 32, "width": 16, "episodes": 4, "steps_per_epoch": 10}
FEW_STEPS = {"inner_steps": 2, "test_steps": 2, "steps_per_epoch": 2}
# Values that make a training cheap, and of several epochs so that it is stopped within; others are as by default.
CHEAP = {
    "gnn": SMALL_GRAPH,
    "gnn-transductive": SMALL_GRAPH,
    "egnn": SMALL_GRAPH,
    "egnn-transductive": SMALL_GRAPH,
    "leo": {"leo_steps": 2, "meta_batch": 2},
    "maml": FEW_STEPS,
    "maml-transductive": {**FEW_STEPS, "inner_steps": 1},  # several are maml's
    "meta-lstm": {"images": 60, "steps_per_epoch": 1, "train_query": 1, "updates": 2, "hidden": 2},
}

# ── what is installed ─────────────────────────────────────────────────────────────────────────────


def test_nothing_installed_is_broken():
    assert INSTALLED.broken == []


@pytest.mark.parametrize("name", [name for name, spec in INSTALLED.methods.items() if not spec.stored])
def test_every_installed_method_keeps_the_contract(name):
    check_method(INSTALLED.method(name), options=CHEAP.get(name))


@pytest.mark.parametrize("name", [name for name, spec in INSTALLED.backbones.items() if not spec.takes_argument])
def test_every_installed_backbone_keeps_the_contract(name):
    found = list(backbone_checks(INSTALLED.backbones[name], harness.BackboneRequest(32)))
    assert found
    assert [each for each in found if each.problem is not None] == []


@pytest.mark.parametrize("name", INSTALLED.classifiers)
def test_every_installed_classifier_keeps_the_contract(name):
    found = list(classifier_checks(INSTALLED.classifiers[name]))
    assert found
    assert [each for each in found if each.problem is not None] == []


@pytest.mark.parametrize("name", [name for name, spec in INSTALLED.datasets.items() if not spec.takes_argument])
def test_every_installed_dataset_keeps_the_contract_or_says_how_to_get_it(name, tmp_path):
    spec = INSTALLED.datasets[name]
    if spec.prepare is None:
        check_dataset(spec, harness.DataRequest(tmp_path))
        return
    with pytest.raises(DataError, match=f"harness data prepare {name}") as caught:
        check_dataset(spec, harness.DataRequest(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_dataset_of_the_checks_keeps_the_contract(tmp_path):
    found = list(dataset_checks(tiny_dataset().spec, harness.DataRequest(tmp_path)))
    assert found
    assert [each for each in found if each.problem is not None] == []


# ── backbones, classifiers, datasets that break it ────────────────────────────────────────────────


class Flat(torch.nn.Module):
    def __init__(self, n_features, said):
        super().__init__()
        self.n_features = said
        self.layer = torch.nn.Linear(3 * 32 * 32, n_features)

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_a_backbone_with_wrong_features_is_found():
    def spec(n_features, said):
        return harness.BackboneSpec("flat", "one layer", lambda request: Flat(n_features, said))

    check_backbone(spec(8, 8))
    with pytest.raises(PluginError, match=r"flat: it returns float32 \(N, n_features\): no: \(6, 8\).*n_features = 9"):
        check_backbone(spec(8, 9))


def test_a_backbone_that_ignores_the_seed_is_found():
    def build(request):
        with seeded(3):
            return Flat(8, 8)

    with pytest.raises(PluginError, match="another seed gives other weights"):
        check_backbone(harness.BackboneSpec("flat", "one layer", build))


COSINE = INSTALLED.classifiers["cosine"].load()


@pytest.mark.parametrize(
    ("classify", "claim"),
    [
        (lambda s, y, q, n: COSINE(s, y, q, n)[:, :, :2], "finite scores"),
        (lambda s, y, q, n: -COSINE(s, y, q, n), "tells classes apart"),
        (lambda s, y, q, n: COSINE(s, y, q.sub_(0.1), n), "leaves its inputs"),
        (lambda s, y, q, n: COSINE(s, y, q, n) - 0.01 * s.mean(dim=(0, 1)).sum(), "an episode is judged by itself"),
        (lambda s, y, q, n: COSINE(s, y, q, n) + 1e-2 * torch.arange(q.shape[1])[:, None], "the order of queries"),
        (lambda s, y, q, n: COSINE(s, y, q, n) + 0.1 * torch.arange(n), "the numbers of classes"),
        (lambda s, y, q, n: COSINE(s, y, q - q.mean(dim=1, keepdim=True), n), "a query is judged by itself"),
    ],
)
def test_a_classifier_that_breaks_a_promise_is_found(classify, claim):
    with pytest.raises(PluginError, match=claim):
        check_classifier(harness.ClassifierSpec("odd", "a classifier", lambda: classify))


def test_a_dataset_with_other_counts_or_labels_is_found(tmp_path):
    data, request = tiny_dataset(), harness.DataRequest(tmp_path)
    counted = replace(data.spec, counts={"test": (6, 121)})
    with pytest.raises(PluginError, match=r"test: it has what its spec counts: no: \(6, 120\), not \(6, 121\)"):
        check_dataset(counted, request)
    shifted = replace(data, test=replace(data.test, labels=data.test.labels + 1))
    with pytest.raises(PluginError, match="test: its labels are int64"):
        check_dataset(replace(data.spec, open=lambda request: shifted), request)


def test_naming_a_check_loads_no_torch():
    import subprocess
    import sys

    code = "from harness.testing import check_method; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

"""plugins/finetune: Baseline, Baseline++ and SimpleShot; their losses by hand, their networks, what they can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness_finetune.baseline import BASELINE, BASELINE_PLUS_PLUS
from harness_finetune.networks import CosineClassifier
from harness_finetune.simpleshot import SIMPLESHOT
from torch import nn

from harness.common.randomness import numpy_generator
from harness.contract.batches import ShuffledBatches
from harness.contract.presets import resolve
from tests.helpers.finetune import B, Fitted, cross_entropy, part

TRAINED_BY_CLASSES = {"baseline": BASELINE, "baseline++": BASELINE_PLUS_PLUS, "simpleshot": SIMPLESHOT}


@pytest.mark.parametrize("name", TRAINED_BY_CLASSES)
def test_base_classes_are_learned_by_cross_entropy(plain, name):
    fitted = Fitted(plain, TRAINED_BY_CLASSES[name], name, images=B)
    labels = plain.train.labels[ShuffledBatches(B).epoch(plain.train, numpy_generator(1, "order", 1, 0))[0]]
    assert fitted.losses["loss"] == pytest.approx(cross_entropy(fitted.outputs[0][1], labels), rel=1e-5)
    assert fitted.trainer.images_seen == B


@pytest.mark.parametrize(("name", "values"), [("baseline", {}), ("baseline++", {"scale": 10.0}), ("simpleshot", {})])
def test_a_few_images_are_learned(plain, name, values):
    fitted = Fitted(part(plain), TRAINED_BY_CLASSES[name], name, epochs=60, **values)
    assert fitted.last["loss"] < 0.2 * fitted.losses["loss"]
    accuracy = (fitted.outputs[-1][1].argmax(1) == np.repeat(np.arange(4), 4)[_order(part(plain), 60)]).mean()
    assert accuracy == 1.0


def _order(data, epochs):
    return ShuffledBatches(B).epoch(data.train, numpy_generator(1, "order", 1, epochs - 1))[0]


def test_the_cosine_classifier_is_torchs_weight_norm_on_unit_features():
    """Of the same value and the same gradients, of directions and of norms."""
    torch.manual_seed(1)
    ours = CosineClassifier(6, 4, scale=3.0).double()
    layer = nn.Linear(6, 4, bias=False).double()
    layer.weight.data.copy_(ours.directions.data)
    layer = nn.utils.parametrizations.weight_norm(layer, dim=0)
    features, labels = torch.randn(5, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
    logits = 3 * layer(features / features.norm(dim=1, keepdim=True))
    torch.testing.assert_close(ours(features), logits)
    nn.functional.cross_entropy(ours(features), labels).backward()
    nn.functional.cross_entropy(logits, labels).backward()
    norm, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    torch.testing.assert_close(ours.norms.grad, norm.grad.flatten())
    torch.testing.assert_close(ours.directions.grad, direction.grad)


def test_only_baseline_plus_plus_has_a_cosine_classifier(plain):
    kinds = {name: type(Fitted(plain, m, name, images=B).network.classifier) for name, m in TRAINED_BY_CLASSES.items()}
    assert kinds == {"baseline": nn.Linear, "baseline++": CosineClassifier, "simpleshot": nn.Linear}


@pytest.mark.parametrize(
    ("name", "head"),
    [("baseline", "linear-sgd"), ("baseline++", "cosine-sgd"), ("simpleshot", "nearest-centroid, centre+l2")],
)
def test_heads_are_those_of_the_papers(name, head):
    assert str(TRAINED_BY_CLASSES[name].head) == head


@pytest.mark.parametrize("name", ["baseline", "baseline++"])
@pytest.mark.parametrize(("dataset", "epochs"), [("miniImageNet", 400), ("CIFAR-FS", 400), ("CUB-200-2011", 200)])
def test_presets_of_baselines_hold_the_published_values(name, dataset, epochs):
    options = resolve(TRAINED_BY_CLASSES[name], "paper", dataset)
    assert (options.epochs, options.batch_size, options.optimiser) == (epochs, 16, "adam")
    assert (options.learning_rate, options.weight_decay, options.schedule) == (1e-3, 0.0, "constant")
    assert getattr(options, "scale", 2.0) == 2.0


def test_the_preset_of_simpleshot_holds_the_published_values():
    options = resolve(SIMPLESHOT, "paper", "miniImageNet")
    assert (options.epochs, options.decay_at, options.decay_factor) == (90, (45, 66), 0.1)
    assert (options.learning_rate, options.momentum, options.weight_decay) == (0.1, 0.9, 1e-4)
    assert (options.batch_size, options.selection) == (256, "best-val")

"""plugins/selfsupervised: each method's loss by hand through the real training loop, and what training reaches."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness_selfsupervised import networks
from harness_selfsupervised.byot import BYOT
from harness_selfsupervised.ddgsd import DDGSD
from harness_selfsupervised.dogo import DOGO
from harness_selfsupervised.losses import similarity_distillation
from harness_selfsupervised.simclr import SIMCLR

from harness.common.errors import HarnessError
from harness.common.randomness import numpy_generator
from harness.contract.batches import ShuffledBatches
from harness.contract.data import Augmentation
from harness.contract.options import QUICK_PER_DATASET
from harness.contract.presets import resolve
from harness.training.contrastive import nt_xent
from tests.helpers.selfsupervised import B, Fitted, distinct, double, few, log_softmax

METHODS = (SIMCLR, DOGO, DDGSD, BYOT)


def first_labels(data):
    return data.train.labels[ShuffledBatches(B).epoch(data.train, numpy_generator(1, "order", 1, 0))[0]]


def cross_entropy(logits, labels):
    return -log_softmax(double(logits))[np.arange(len(labels)), labels].mean()


def kl(teacher, student, temperature):
    p, q = (log_softmax(double(logits) / temperature) for logits in (teacher, student))
    return temperature**2 * (np.exp(p) * (p - q)).sum(axis=1).mean()


# ── without labels ────────────────────────────────────────────────────────────────────────────────


def test_simclr_sees_two_views_of_each_image_and_no_label(plain):
    fitted = Fitted(SIMCLR, plain, images=2 * B, temperature=0.3, projection=10)
    (z,) = fitted.outputs
    assert z.shape == (2 * B, 10)
    assert fitted.losses["loss"] == pytest.approx(float(nt_xent(z[:B].double(), z[B:].double(), 0.3)), rel=1e-5)
    shuffled = replace(plain, train=replace(plain.train, labels=plain.train.labels[::-1].copy()))
    assert torch.equal(Fitted(SIMCLR, shuffled, images=2 * B, temperature=0.3, projection=10).outputs[0], z)


def test_dogo_adds_what_each_network_learns_of_the_other(plain):
    seen = []

    def note(module, _, output):
        if isinstance(module, networks.ProjectionNetwork):
            seen.append((module, output.detach().double()))

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    fitted = Fitted(DOGO, plain, images=2 * B, kd_weight=7.0, kd_temperature=0.2)
    hook.remove()
    kept, peer = (tuple(z.chunk(2)) for _, z in seen)
    contrastive = nt_xent(*kept, 0.5) + nt_xent(*peer, 0.5)
    kd = similarity_distillation(kept, peer, 0.2) + similarity_distillation(peer, kept, 0.2)
    assert fitted.losses["contrastive"] == pytest.approx(float(contrastive), rel=1e-5)
    assert fitted.losses["loss"] == pytest.approx(float(contrastive + 7 * kd), rel=1e-5)
    (first, _), (other, _) = seen
    assert first is fitted.network
    assert first.state_dict().keys() == other.state_dict().keys()  # the peer's weights are not among them
    assert not torch.allclose(first.projection[0].weight, other.projection[0].weight, atol=0.01)


@pytest.mark.parametrize("spec", [SIMCLR, DOGO], ids=lambda spec: spec.name)
def test_a_view_finds_its_image_after_training_without_labels(plain, spec):
    values = {"smallest_crop": 0.5, "jitter": 0.2, "learning_rate": 3e-3, "optimiser": "adam", "warm_up": 0}
    if spec is DOGO:
        values["kd_weight"] = 1.0  # a mean over 8² pairs, not 256²
    fitted = Fitted(spec, distinct(plain), epochs=60, **values)
    z = torch.nn.functional.normalize(torch.stack(fitted.outputs), dim=2)  # (steps, 2B, projection)
    assert found_share(z[-10:]) > 0.9
    assert found_share(z[-10:]) > found_share(z[:1]) + 0.1


def found_share(z):
    """How many views (steps, 2B, D) are most like the other view of their image; chance is 1 / (2B - 1)."""
    n = z.shape[1]
    similarity = (z @ z.mT).masked_fill(torch.eye(n, dtype=torch.bool), -2)
    return float((similarity.argmax(2) == torch.arange(n).roll(n // 2)).float().mean())


@pytest.mark.parametrize("spec", [SIMCLR, DOGO], ids=lambda spec: spec.name)
def test_views_are_mirrored_only_where_that_keeps_the_class(plain, spec):
    flipping = replace(plain, spec=replace(plain.spec, augmentation=Augmentation(flip=True)))
    found = [spec.options().contrastive_recipe(data).augmentation.flip for data in map(Context, (plain, flipping))]
    assert found == [False, True]


class Context:
    def __init__(self, data):
        self.dataset = data.spec


# ── with labels ───────────────────────────────────────────────────────────────────────────────────


def test_ddgsd_classifies_both_versions_and_brings_them_together(tiny):
    fitted = Fitted(DDGSD, tiny, images=2 * B, kd_weight=0.7, temperature=2.0, mmd_weight=0.3)
    features, logits = fitted.outputs[0]
    first, second = logits.chunk(2)
    assert not torch.allclose(first, second)
    ce = sum(cross_entropy(each, first_labels(tiny)) for each in (first, second))
    kd = kl(first, second, 2.0) + kl(second, first, 2.0)
    mmd = ((double(features[:B]).mean(0) - double(features[B:]).mean(0)) ** 2).sum()
    assert fitted.losses["ce"] == pytest.approx(ce, rel=1e-5)
    assert fitted.losses["kd"] == pytest.approx(kd, rel=1e-3)
    assert fitted.losses["mmd"] == pytest.approx(mmd, rel=1e-4)
    assert fitted.losses["loss"] == pytest.approx(ce + 0.7 * kd + 0.3 * mmd, rel=1e-4)


@pytest.mark.parametrize("backbone", ["conv4", "conv4-gap", "resnet12"])
def test_byots_shallow_classifiers_learn_from_the_deepest(plain, backbone):
    fitted = Fitted(BYOT, plain, backbone, images=B, alpha=0.3, temperature=2.0, hint_weight=0.01)
    features, logits = fitted.outputs[0]
    assert [tuple(each.shape) for each in features] == [(B, fitted.network.n_features)] * 4
    assert [tuple(each.shape) for each in logits] == [(B, 8)] * 4
    labels = first_labels(plain)
    ce = sum(cross_entropy(each, labels) for each in logits)
    kd = sum(kl(logits[3], each, 2.0) for each in logits[:3])
    hint = sum(((double(each) - double(features[3])) ** 2).sum(1).mean() for each in features[:3])
    assert fitted.losses["loss"] == pytest.approx(0.7 * ce + 0.3 * kd + 0.01 * hint, rel=1e-4)
    assert fitted.losses["hint"] == pytest.approx(hint, rel=1e-4)


def test_byots_teacher_learns_from_labels_alone(plain):
    """With neither cross-entropy nor hints the deepest classifier gets no gradient, the shallow ones do."""
    fitted = Fitted(BYOT, plain, images=B, alpha=1.0, hint_weight=0.0, weight_decay=0.0, learning_rate=0.1)
    after = fitted.network.state_dict()
    assert torch.equal(after["classifier.weight"], fitted.first["classifier.weight"])
    assert not torch.equal(after["shallow_classifiers.0.weight"], fitted.first["shallow_classifiers.0.weight"])


def test_byot_says_which_backbones_it_can_read(plain, monkeypatch):
    import tests.helpers.selfsupervised as helpers

    class Flat(torch.nn.Module):
        n_features = 5

    monkeypatch.setitem(helpers.BUILD, "flat", lambda request: Flat())
    with pytest.raises(HarnessError, match=r"byot needs a backbone with blocks.* Flat names none: use conv4"):
        Fitted(BYOT, plain, "flat")


@pytest.mark.parametrize("spec", [DDGSD, BYOT], ids=lambda spec: spec.name)
def test_a_few_images_are_learned_by_heart(plain, spec):
    data = few(plain, 4, 4)
    fitted = Fitted(spec, data, epochs=30, batch_size=16, learning_rate=0.05)
    first, last = fitted.trainer.history[0], fitted.trainer.history[-1]
    assert last["ce"] < 0.1 * first["ce"]
    predicted = fitted.network.eval()(images_of(data, fitted))[1]
    deepest = predicted[-1] if isinstance(predicted, list) else predicted
    assert float((deepest.argmax(1).numpy() == data.train.labels).mean()) > 0.9


def images_of(data, fitted):
    from harness.images.augment import normalise

    return normalise(torch.from_numpy(data.train.images), fitted.network.mean, fitted.network.std)


# ── what is offered ───────────────────────────────────────────────────────────────────────────────


def test_papers_values_are_the_defaults():
    simclr, dogo = (resolve(spec, "paper", "CIFAR-FS") for spec in (SIMCLR, DOGO))
    assert (simclr.optimiser, simclr.learning_rate, simclr.batch_size, simclr.epochs) == ("lars", 1.0, 512, 1000)
    assert (simclr.temperature, simclr.projection, simclr.weight_decay, simclr.jitter) == (0.5, 128, 1e-6, 0.5)
    assert (dogo.optimiser, dogo.learning_rate, dogo.batch_size, dogo.epochs) == ("adam", 3e-4, 256, 1000)
    assert (dogo.kd_temperature, dogo.kd_weight, dogo.temperature, dogo.weight_decay) == (0.1, 100.0, 0.5, 1e-6)
    ddgsd, byot = (resolve(spec, "paper", "CIFAR-FS") for spec in (DDGSD, BYOT))
    assert (ddgsd.kd_weight, ddgsd.mmd_weight, ddgsd.epochs) == (1.0, 5e-4, 200)
    assert (byot.alpha, byot.temperature, byot.epochs, byot.decay_at) == (0.1, 3.0, 200, (75, 130, 180))
    assert byot.hint_weight == pytest.approx(byot.batch_size * 1e-6)  # of a mean over images in place of a sum


def test_all_quick_presets_train_on_the_same_number_of_images():
    assert {resolve(spec, "quick", "CIFAR-FS").images for spec in METHODS} == {450_000}
    assert {resolve(spec, "quick", "glyphs").images for spec in METHODS} == {QUICK_PER_DATASET["glyphs"]["images"]}


def test_the_readme_names_every_option_and_preset():
    text = (Path(__file__).parents[2] / "plugins" / "selfsupervised" / "README.md").read_text(encoding="utf-8")
    for spec in METHODS:
        assert [name for name in (*spec.options.model_fields, *spec.presets) if f"`{name}`" not in text] == []


def test_offering_the_methods_imports_no_torch():
    code = (
        "import sys, harness_selfsupervised as h; [spec.stages(spec.options()) for spec in h.harness_methods()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""plugins/skd: its two stages through the real training loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from harness_skd.transforms import TRANSFORMS

from harness.common.errors import HarnessError
from harness.common.randomness import seeded
from harness.contract.data import Augmentation
from harness.networks.backbones.dropblock import DropBlock
from harness.training.contrastive import nt_xent
from tests.helpers.skd import B, Fitted, binary_cross_entropy, cross_entropy, first_labels, same, softmax, state


@pytest.fixture
def gen0(plain):
    return Fitted(plain, "gen0", images=6 * 4 * B, learning_rate=0.05)


# ── Gen-0 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_gen0_is_cross_entropy_and_alpha_times_self_supervision(plain, alpha):
    fitted = Fitted(plain, "gen0", images=4 * B, alpha=alpha)
    _, logits, q = fitted.outputs[0]
    assert fitted.inputs[0].shape == (4 * B, 3, 16, 16)
    ce = cross_entropy(logits, np.tile(first_labels(plain), 4))
    ss = binary_cross_entropy(q, np.repeat(np.arange(4), B))
    assert fitted.losses["ce"] == pytest.approx(ce, rel=1e-5)
    assert fitted.losses["loss"] == pytest.approx(ce + alpha * ss, rel=1e-5)
    assert fitted.trainer.images_seen == 4 * B


def test_patch_classifies_images_and_quadrants_and_tells_quadrants_apart(plain):
    fitted = Fitted(plain, "gen0", images=5 * B, self_supervision="patch")
    _, logits, q = fitted.outputs[0]
    assert torch.equal(fitted.inputs[0], TRANSFORMS["patch"](fitted.inputs[0][:B]))
    ce = cross_entropy(logits, np.tile(first_labels(plain), 5))
    ss = binary_cross_entropy(q[B:], np.repeat(np.arange(4), B))
    assert fitted.losses["loss"] == pytest.approx(ce + 2 * ss, rel=1e-5)
    assert fitted.trainer.images_seen == 5 * B


@pytest.mark.parametrize(("name", "outputs"), [("flips", 4), ("colours", 6), ("jigsaw", 4), ("sizes", 4)])
def test_gen0_tells_the_copies_of_any_transform_apart(plain, name, outputs):
    fitted = Fitted(plain, "gen0", images=outputs * B, self_supervision=name, label_smoothing=0.2)
    _, logits, q = fitted.outputs[0]
    assert torch.equal(fitted.inputs[0], TRANSFORMS[name](fitted.inputs[0][:B]))
    ce = smoothed_cross_entropy(logits, np.tile(first_labels(plain), outputs), 0.2)
    ss = binary_cross_entropy(q, np.repeat(np.arange(outputs), B))
    assert fitted.losses["loss"] == pytest.approx(ce + 2 * ss, rel=1e-5)
    assert fitted.trainer.images_seen == outputs * B


def smoothed_cross_entropy(logits, labels, smoothing):
    """Against targets of which a share is spread evenly over all classes."""
    targets = np.full(logits.shape, smoothing / logits.shape[1])
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    return -(targets * np.log(softmax(logits))).sum(axis=1).mean()


def test_without_self_supervision_gen0_is_cross_entropy_and_its_second_head_stays(plain):
    heads = []
    fitted = Fitted(
        plain, "gen0", images=2 * B, self_supervision="none", start=lambda n: heads.append(state(n.self_supervised))
    )
    assert fitted.inputs[0].shape[0] == B
    told = {"phase", "epoch", "images_per_second", "learning_rate", "top1", "top5"}
    assert fitted.losses.keys() - told == {"loss"}
    assert same(heads[0], state(fitted.network.self_supervised))


@pytest.mark.parametrize(("reads", "through_classifier"), [("logits", True), ("features", False)])
def test_the_second_head_reads_what_it_is_told_to(plain, reads, through_classifier):
    network = Fitted(plain, "gen0", images=4 * B, self_supervision_on=reads).network.train()
    network.zero_grad(set_to_none=True)
    network(torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)))[2].square().sum().backward()
    gradient = network.classifier.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) == through_classifier
    assert network.self_supervised.in_features == (8 if through_classifier else 64)
    assert next(network.backbone.parameters()).grad is not None


def test_rotation_is_refused_where_it_changes_the_class(plain, gen0):
    upright = Augmentation(rotation_keeps_class=False)
    letters = replace(plain, spec=replace(plain.spec, augmentation=upright))
    with pytest.raises(HarnessError, match=r"skd.self_supervision=patch"):
        Fitted(letters, "gen0")
    with pytest.raises(HarnessError, match=r"skd.consistency=none"):
        Fitted(letters, "gen1", parent=gen0.network)
    Fitted(letters, "gen0", images=5 * B, self_supervision="patch")
    Fitted(letters, "gen1", parent=gen0.network, images=B, consistency="none")


# ── Gen-1 ─────────────────────────────────────────────────────────────────────────────────────────


def kd_by_hand(student, teacher, temperature):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()


@pytest.mark.parametrize("forward", ["twins", "all"])
@pytest.mark.parametrize(("twin", "turns"), [("90", 1), ("180", 2), ("270", 3)])
def test_gen1_is_distillation_and_beta_times_the_distance_to_the_twin(plain, gen0, forward, twin, turns):
    copies = {"twins": 2, "all": 4}[forward]
    gen0.inputs.clear()
    gen0.outputs.clear()
    fitted = Fitted(
        plain, "gen1", gen0.network, images=copies * B, twin=twin, gen1_forward=forward, beta=0.7, beta_divisor=3.0
    )
    seen = fitted.inputs[0]
    place = 1 if forward == "twins" else turns
    assert seen.shape[0] == copies * B
    assert torch.equal(seen[place * B : (place + 1) * B], torch.rot90(seen[:B], turns, (2, 3)))
    assert torch.equal(gen0.inputs[0], seen[:B])  # the teacher sees the images alone
    _, logits, _ = fitted.outputs[0]
    _, teacher_logits, _ = gen0.outputs[0]
    kd = kd_by_hand(logits[:B], teacher_logits, 4.0)
    distance = np.linalg.norm(logits[:B] - logits[place * B : (place + 1) * B], axis=1).mean()
    assert fitted.losses["kd"] == pytest.approx(kd, rel=1e-4)
    assert fitted.losses["loss"] == pytest.approx(kd + 0.7 * distance / 3, rel=1e-4)
    assert fitted.trainer.images_seen == copies * B


@pytest.mark.parametrize("forward", ["twins", "all"])
def test_random_twins_are_found_among_the_views(plain, gen0, forward):
    copies = {"twins": 2, "all": 4}[forward]
    fitted = Fitted(plain, "gen1", gen0.network, images=copies * B, twin="random", gen1_forward=forward)
    _, logits, _ = fitted.outputs[0]
    with seeded(1, "epoch", 1, 0, 0):
        turns = torch.randint(1, 4, (B,)).numpy()
    if forward == "all":
        twins = logits.reshape(4, B, -1)[turns, np.arange(B)]
    else:
        twins = logits[B:]
        for i in range(B):
            assert torch.equal(fitted.inputs[0][B + i], torch.rot90(fitted.inputs[0][i], int(turns[i]), (1, 2)))
    assert len(set(turns)) > 1
    assert fitted.losses["l2"] == pytest.approx(np.linalg.norm(logits[:B] - twins, axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["jigsaw", "patch"])
def test_twins_that_are_copies_are_drawn_from_those_of_gen0(plain, name):
    parent = Fitted(plain, "gen0", images=5 * B, self_supervision=name)
    fitted = Fitted(plain, "gen1", parent.network, images=2 * B, self_supervision=name, twin="copy")
    images, twins = fitted.inputs[0].chunk(2)
    copies = TRANSFORMS[name].make(images).unflatten(0, (4, B))
    which = [[t for t in range(4) if torch.equal(copies[t, i], twins[i])] for i in range(B)]
    assert all(which)
    assert {t for each in which for t in each} == ({0, 1, 2, 3} if name == "patch" else {1, 2, 3})
    _, logits, _ = fitted.outputs[0]
    distance = np.linalg.norm(logits[:B] - logits[B:], axis=1).mean()
    assert fitted.losses["loss"] == pytest.approx(fitted.losses["kd"] + 0.1 * distance, rel=1e-4)


def test_a_second_generation_learns_from_the_first_and_starts_from_it(plain, gen0):
    still = {"learning_rate": 1e-30, "gen1_learning_rate": 1e-30, "weight_decay": 0.0}
    first = Fitted(plain, "gen1", gen0.network, images=4 * B)
    second = Fitted(plain, "gen2", first.network, images=2 * B, generations=2, **still)
    assert second.stage.parents == ("gen1",)
    assert torch.allclose(second.network.classifier.weight, first.network.classifier.weight, atol=1e-20)
    assert not torch.allclose(second.network.classifier.weight, gen0.network.classifier.weight, atol=1e-6)
    assert second.losses["kd"] == pytest.approx(
        kd_by_hand(second.outputs[0][1][:B], first.outputs[-1][1], 4.0), rel=1e-4
    )


def test_gen1_with_simclr_and_with_distillation_alone(plain, gen0):
    fitted = Fitted(plain, "gen1", gen0.network, images=2 * B, consistency="simclr", beta=0.5, simclr_temperature=0.3)
    logits = torch.tensor(fitted.outputs[0][1])
    expected = float(nt_xent(logits[:B], logits[B:], 0.3))
    assert fitted.losses["simclr"] == pytest.approx(expected, rel=1e-5)
    assert fitted.losses["loss"] == pytest.approx(fitted.losses["kd"] + 0.5 * expected, rel=1e-5)
    alone = Fitted(plain, "gen1", gen0.network, images=B, consistency="none")
    assert alone.inputs[0].shape[0] == B
    assert alone.losses["loss"] == alone.losses["kd"]


def test_gen1_starts_from_gen0_and_restarts_the_dropblock_schedule(plain):
    def wind_up(network):
        for module in network.modules():
            if isinstance(module, DropBlock):
                module.drop_steps.fill_(12_345)

    small = {"batch_size": 4, "learning_rate": 1e-30, "gen1_learning_rate": 1e-30, "weight_decay": 0.0}
    parent = Fitted(plain, "gen0", backbone="resnet12", images=16, start=wind_up, **small)
    child = Fitted(plain, "gen1", parent.network, backbone="resnet12", images=3 * 8, **small)
    before, after = state(parent.network), state(child.network)
    counters = [name for name in after if name.endswith("drop_steps")]
    statistics = [name for name in after if "running_" in name or "num_batches" in name]
    assert len(counters) == 2
    assert {int(before[name]) for name in counters} == {12_346}
    assert {int(after[name]) for name in counters} == {3}
    weights = after.keys() - set(counters) - set(statistics)
    assert all(torch.allclose(before[name], after[name], rtol=0, atol=1e-20) for name in weights)
    assert not same({name: before[name] for name in statistics}, after)


@pytest.mark.parametrize("counter", ["training", "reference"])
def test_gen1_counts_the_tests_of_the_code_and_gen0_counts_none(plain, counter):
    """The authors' code scores 600 test episodes, of two forwards each, after every epoch of Gen-1."""
    small = {"batch_size": 4, "dropblock_masks": "reference", "dropblock_counter": counter}
    parent = Fitted(plain, "gen0", backbone="resnet12", images=16, **small)
    child = Fitted(plain, "gen1", parent.network, backbone="resnet12", images=8, **small)
    layers = [[m for m in fitted.network.modules() if isinstance(m, DropBlock)] for fitted in (parent, child)]
    assert [{m.masks for m in each} for each in layers] == [{"reference"}, {"reference"}]
    assert {m.evaluation_forwards for m in layers[0]} == {0}
    expected = {(len(plain.train) // 4, 1200 if counter == "reference" else 0)}
    assert {(m.epoch_steps, m.evaluation_forwards) for m in layers[1]} == expected


def test_the_teacher_stays_as_it_is_in_eval_mode(plain, gen0):
    before = state(gen0.network)
    gen0.network.train()
    fitted = Fitted(plain, "gen1", gen0.network, images=20 * B)
    assert same(before, state(gen0.network))
    assert not gen0.network.training
    assert not any(weight.requires_grad for weight in gen0.network.parameters())
    assert not same(before, state(fitted.network))


def test_gen1_has_its_own_length_and_learning_rate(plain, gen0):
    still = Fitted(plain, "gen1", gen0.network, gen1_epochs=2, gen1_learning_rate=1e-30, weight_decay=0.0)
    assert len(still.trainer.history) == 2
    assert torch.equal(still.network.classifier.weight, gen0.network.classifier.weight)
    longer = Fitted(plain, "gen1", gen0.network, images=2 * B, gen1_images=10 * B)
    assert longer.trainer.images_seen == 10 * B


# ── learning ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def one_batch(plain):
    """Sixteen images of four classes."""
    some = np.concatenate([np.arange(4) + 24 * label for label in range(4)])
    train = replace(
        plain.train,
        images=plain.train.images[some],
        labels=plain.train.labels[some],
        class_names=plain.train.class_names[:4],
    )
    return replace(plain, train=train)


def test_gen0_fits_one_batch(one_batch):
    fitted = Fitted(one_batch, "gen0", epochs=50, learning_rate=0.05)
    first, last = fitted.trainer.history[0], fitted.trainer.history[-1]
    assert last["ce"] < 0.05 < first["ce"]
    assert last["self_supervised"] < 0.3 * first["self_supervised"]


def test_gen1_fits_one_batch_by_bringing_twins_together(one_batch):
    parent = Fitted(one_batch, "gen0", epochs=20, learning_rate=0.05)
    fitted = Fitted(one_batch, "gen1", parent.network, gen1_epochs=40, gen1_learning_rate=0.01, beta=1.0)
    first, last = fitted.trainer.history[0], fitted.trainer.history[-1]
    assert last["l2"] < 0.4 * first["l2"]
    assert last["loss"] < 0.5 * first["loss"]

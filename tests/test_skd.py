"""plugins/skd: its losses against arithmetic by hand, its two stages through the real training loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness_skd import SKD, SkdOptions, stages
from harness_skd.gen0 import quadrants, with_quadrants
from harness_skd.gen1 import quarter_turns
from harness_skd.losses import self_supervised, simclr, twin_distance

from harness.backbones import SPECS
from harness.backbones.dropblock import DropBlock
from harness.batches import ShuffledBatches
from harness.errors import HarnessError
from harness.hardware import choose_hardware
from harness.options import resolve
from harness.randomness import numpy_generator, seeded
from harness.training import Trainer
from harness.types import Augmentation, BackboneRequest, BuildContext, FitContext

HARDWARE = choose_hardware("cpu", "32", 1)
BUILD = {spec.name: spec.build for spec in SPECS}
B = 16  # images a step


class Fitted:
    """A stage that was trained for a few steps, and what its network met on the way."""

    def __init__(self, data, stage, parent=None, backbone="conv4", seed=0, start=None, **values):
        values = {"batch_size": B, "epochs": 1, "gen1_epochs": 1, "schedule": "constant", **values}
        self.options = SkdOptions(**values)
        self.stage = next(each for each in stages(self.options) if each.name == stage)
        build = BuildContext(
            data.spec, data.train.n_classes, self.options, lambda: BUILD[backbone](BackboneRequest(16))
        )
        with seeded(seed, "init", stage):
            self.network = self.stage.build(build)
        if start is not None:
            start(self.network)
        self.inputs, self.outputs = [], []
        self.network.register_forward_hook(self._record)
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        context = FitContext(**vars(build), train=data.train, val=None, parent=parent, seed=0, trainer=self.trainer)
        self.stage.fit(context, self.network)
        self.losses = self.trainer.history[0]

    def _record(self, network, inputs, outputs):
        self.inputs.append(inputs[0].detach().clone())
        self.outputs.append([output.detach().double().numpy().copy() for output in outputs])


@pytest.fixture
def gen0(plain):
    return Fitted(plain, "gen0", images=6 * 4 * B, learning_rate=0.05)


def first_labels(data):
    """The labels of a training's first batch."""
    return data.train.labels[ShuffledBatches(B).epoch(data.train, numpy_generator(1, "order", 1, 0))[0]]


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def cross_entropy(logits, labels):
    return -np.log(softmax(logits)[np.arange(len(labels)), labels]).mean()


def binary_cross_entropy(q, which):
    """Mean over rows and outputs, by the definition."""
    total = 0.0
    for row, right in zip(q, which, strict=True):
        for output, value in enumerate(row):
            probability = 1 / (1 + np.exp(-value))
            total -= np.log(probability if output == right else 1 - probability)
    return total / q.size


def state(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


# ── the losses ────────────────────────────────────────────────────────────────────────────────────


def test_self_supervision_is_binary_cross_entropy_by_hand():
    q = np.random.default_rng(0).normal(0, 2, (12, 4))
    which = np.arange(12) % 4
    found = float(self_supervised(torch.tensor(q), torch.tensor(which)))
    assert found == pytest.approx(binary_cross_entropy(q, which), rel=1e-9)


def test_twin_distance_is_the_mean_of_norms():
    a, b = np.random.default_rng(0).normal(size=(2, 7, 5))
    found = float(twin_distance(torch.tensor(a), torch.tensor(b)))
    assert found == pytest.approx(np.sqrt(((a - b) ** 2).sum(axis=1)).mean(), rel=1e-9)


def test_twin_distance_of_equal_images_has_a_finite_gradient():
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    twin_distance(logits, logits.detach().clone()).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_simclr_is_its_double_loop():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 6))
    z = [row / np.linalg.norm(row) for row in (*a, *b)]
    total = 0.0
    for i in range(10):
        twin = (i + 5) % 10
        others = sum(np.exp(z[i] @ z[k] / 0.3) for k in range(10) if k != i)
        total -= np.log(np.exp(z[i] @ z[twin] / 0.3) / others)
    assert float(simclr(torch.tensor(a), torch.tensor(b), 0.3)) == pytest.approx(total / 10, rel=1e-9)


# ── the transforms ────────────────────────────────────────────────────────────────────────────────


def test_quadrants_come_row_by_row_and_keep_their_place():
    image = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).repeat_interleave(4, 0).repeat_interleave(4, 1)  # (8, 8)
    images = torch.stack([image, image + 10]).unsqueeze(1)  # (2, 1, 8, 8)
    crops = quadrants(images)
    assert crops.shape == (8, 1, 8, 8)
    for place in range(4):
        for i in range(2):
            assert torch.equal(crops[place * 2 + i], torch.full((1, 8, 8), place + 10.0 * i))
    assert torch.equal(with_quadrants(images)[:2], images)
    assert torch.equal(with_quadrants(images)[2:], crops)


def test_an_asymmetric_image_meets_the_label_of_its_rotation(plain):
    images = np.zeros_like(plain.train.images)
    images[:, 0, -1] = 255  # a bright pixel at the top right
    data = replace(plain, train=replace(plain.train, images=images))
    fitted = Fitted(data, "gen0", images=4 * B)
    seen = fitted.inputs[0].permute(0, 2, 3, 1)  # (4B, H, W, C)
    assert torch.equal(seen[B : 2 * B], torch.rot90(seen[:B], 1, (1, 2)))
    corners = {0: (0, -1), 1: (0, 0), 2: (-1, 0), 3: (-1, -1)}  # counter-clockwise
    for turns, (row, column) in corners.items():
        block = seen[turns * B : (turns + 1) * B]
        assert (block[:, row, column] == seen.max()).all()
    _, _, q = fitted.outputs[0]
    expected = binary_cross_entropy(q, np.repeat(np.arange(4), B))
    assert fitted.losses["self_supervised"] == pytest.approx(expected, rel=1e-5)
    clockwise = binary_cross_entropy(q, np.repeat([0, 3, 2, 1], B))
    assert fitted.losses["self_supervised"] != pytest.approx(clockwise, rel=1e-5)


def test_random_twins_are_90_180_or_270_degrees_an_image():
    with seeded(0):
        turns = quarter_turns("random", torch.zeros(3000, 1))
    assert torch.bincount(turns, minlength=4).tolist()[0] == 0
    assert (torch.bincount(turns)[1:] > 900).all()
    assert [quarter_turns(twin, torch.zeros(1)) for twin in ("90", "180", "270")] == [1, 2, 3]


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
    assert torch.equal(fitted.inputs[0], with_quadrants(fitted.inputs[0][:B]))
    ce = cross_entropy(logits, np.tile(first_labels(plain), 5))
    ss = binary_cross_entropy(q[B:], np.repeat(np.arange(4), B))
    assert fitted.losses["loss"] == pytest.approx(ce + 2 * ss, rel=1e-5)
    assert fitted.trainer.images_seen == 5 * B


def test_without_self_supervision_gen0_is_cross_entropy_and_its_second_head_stays(plain):
    heads = []
    fitted = Fitted(
        plain, "gen0", images=2 * B, self_supervision="none", start=lambda n: heads.append(state(n.self_supervised))
    )
    assert fitted.inputs[0].shape[0] == B
    assert fitted.losses.keys() - {"phase", "epoch", "images_per_second"} == {"loss"}
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


def test_gen1_with_simclr_and_with_distillation_alone(plain, gen0):
    fitted = Fitted(plain, "gen1", gen0.network, images=2 * B, consistency="simclr", beta=0.5, simclr_temperature=0.3)
    logits = torch.tensor(fitted.outputs[0][1])
    expected = float(simclr(logits[:B], logits[B:], 0.3))
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
        plain.train, images=plain.train.images[some], labels=plain.train.labels[some],
        class_names=plain.train.class_names[:4],
    )  # fmt: skip
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


# ── keys and presets ──────────────────────────────────────────────────────────────────────────────


def reads(**values):
    return {stage.name: set(stage.reads) for stage in stages(SkdOptions(**values))}


def test_each_stage_reads_the_options_that_decide_it_and_no_others():
    found = reads()
    assert {"alpha", "self_supervision", "self_supervision_on", "epochs", "learning_rate"} <= found["gen0"]
    assert not {name for name in found["gen0"] if name.startswith("gen1_")}
    assert not found["gen0"] & {"beta", "temperature", "twin", "consistency", "beta_divisor", "simclr_temperature"}
    assert {"beta", "beta_divisor", "temperature", "twin", "consistency", "gen1_epochs", "images"} <= found["gen1"]
    assert not found["gen1"] & {"alpha", "self_supervision", "epochs", "decay_at", "learning_rate"}
    assert "simclr_temperature" not in found["gen1"]
    assert {"beta", "simclr_temperature"} <= reads(consistency="simclr")["gen1"]
    assert not reads(consistency="none")["gen1"] & {"beta", "beta_divisor", "twin", "simclr_temperature"}
    assert "alpha" not in reads(self_supervision="none")["gen0"]
    every = set().union(*(set().union(*reads(consistency=c).values()) for c in ("l2", "simclr", "none")))
    assert every == set(SkdOptions.model_fields)


# dataset, Gen-0 epochs and decay, Gen-1 epochs and decay, β
RECIPES = [
    ("CIFAR-FS", 65, (60,), 65, (60,), 0.1),
    ("FC100", 65, (60,), 8, (3,), 0.2),
    ("miniImageNet", 65, (60,), 8, (5,), 0.1),
    ("tieredImageNet", 60, (30, 40, 50), 8, (5,), 0.1),
]


@pytest.mark.parametrize("preset", ["paper", "reference-code"])
@pytest.mark.parametrize(("dataset", "epochs", "decay", "gen1_epochs", "gen1_decay", "beta"), RECIPES)
def test_presets_hold_the_published_lengths(preset, dataset, epochs, decay, gen1_epochs, gen1_decay, beta):
    options = resolve(SKD, preset, dataset)
    assert (options.epochs, options.decay_at, options.gen1_epochs, options.gen1_decay_at, options.beta) == (
        epochs, decay, gen1_epochs, gen1_decay, beta,
    )  # fmt: skip
    assert (options.optimiser, options.learning_rate, options.momentum) == ("sgd", 0.05, 0.9)
    assert options.weight_decay == 5e-4
    assert (options.batch_size, options.schedule, options.decay_factor, options.alpha) == (64, "step", 0.1, 2.0)
    assert (options.twin, options.consistency, options.selection, options.images) == ("180", "l2", "last", None)


def test_the_reference_code_departs_from_the_paper_in_four_options():
    paper, code = (resolve(SKD, preset, "CIFAR-FS").model_dump() for preset in ("paper", "reference-code"))
    assert {name: (paper[name], code[name]) for name in paper if paper[name] != code[name]} == {
        "temperature": (4.0, 2.0),
        "gen1_learning_rate": (0.05, 0.001),
        "beta_divisor": (1.0, 3.0),
        "gen1_forward": ("twins", "all"),
    }
    assert {SKD.presets[name].backbone for name in ("paper", "reference-code")} == {"resnet12"}


def test_the_readme_names_every_option_and_preset():
    text = (Path(__file__).parent.parent / "plugins" / "skd" / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*SkdOptions.model_fields, *SKD.presets) if f"`{name}`" not in text] == []

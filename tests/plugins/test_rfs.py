"""plugins/rfs: its loss by hand, its chain of born-again students, its schedule, all through the real training loop."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from harness_rfs import RFS, RfsOptions, stages
from harness_rfs.training import validation_forwards
from safetensors.torch import load_file

from harness.common.randomness import numpy_generator, seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.batches import ShuffledBatches
from harness.contract.methods import BuildContext, FitContext
from harness.contract.options import TrainingOptions
from harness.contract.presets import resolve
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.networks.backbones.dropblock import DropBlock
from harness.training.trainer import Trainer

HARDWARE = choose_hardware("cpu", "32", 1)
BUILD = {spec.name: spec.build for spec in SPECS}
CONV4 = next(spec for spec in SPECS if spec.name == "conv4")
B = 16  # images a step


class Fitted:
    """A stage that was trained for a few steps, and the logits its network gave on the way."""

    def __init__(self, data, stage, parent=None, backbone="conv4", **values):
        self.options = RfsOptions(**{"batch_size": B, "epochs": 1, "schedule": "constant", **values})
        chosen = next(each for each in stages(self.options) if each.name == stage)
        build = BuildContext(
            data.spec, data.train.n_classes, self.options, lambda: BUILD[backbone](BackboneRequest(16))
        )
        with seeded(0, stage):
            self.network = chosen.build(build)
        self.logits = []
        self.network.register_forward_hook(lambda _, __, out: self.logits.append(out[1].detach().double().numpy()))
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1)
        chosen.fit(
            FitContext(
                **vars(build),
                train=data.train,
                val=None,
                parents=(parent,) if parent is not None else (),
                seed=0,
                trainer=self.trainer,
            ),
            self.network,
        )
        self.losses = self.trainer.history[0]


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


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def first_cross_entropy(data, logits):
    labels = data.train.labels[ShuffledBatches(B).epoch(data.train, numpy_generator(1, "order", 1, 0))[0]]
    return -np.log(softmax(logits)[np.arange(B), labels]).mean()


def test_simple_is_cross_entropy(plain):
    fitted = Fitted(plain, "simple", images=B)
    assert fitted.losses["loss"] == pytest.approx(first_cross_entropy(plain, fitted.logits[0]), rel=1e-5)
    assert fitted.trainer.images_seen == B


def test_label_smoothing_spreads_a_share_of_the_targets_over_all_classes(plain):
    fitted = Fitted(plain, "simple", images=B, label_smoothing=0.1)
    n_classes = fitted.logits[0].shape[1]
    spread = -np.log(softmax(fitted.logits[0])).mean()  # cross-entropy against even targets
    expected = 0.9 * first_cross_entropy(plain, fitted.logits[0]) + 0.1 * spread
    assert n_classes > 2
    assert fitted.losses["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("ce_weight", "kd_weight", "temperature"), [(0.5, 0.5, 4.0), (0.2, 0.9, 2.0)])
def test_distill_weighs_cross_entropy_and_distillation(plain, ce_weight, kd_weight, temperature):
    parent = Fitted(plain, "simple", images=6 * B)
    parent.logits.clear()
    fitted = Fitted(
        plain, "distill-1", parent.network, images=B, ce_weight=ce_weight, kd_weight=kd_weight, temperature=temperature
    )
    student, teacher = fitted.logits[0], parent.logits[0]
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    kd = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    ce = first_cross_entropy(plain, student)
    assert fitted.losses["kd"] == pytest.approx(kd, rel=1e-4)
    assert fitted.losses["loss"] == pytest.approx(ce_weight * ce + kd_weight * kd, rel=1e-4)


def test_the_teacher_stays_as_it_is_in_eval_mode(plain):
    parent = Fitted(plain, "simple", images=2 * B)
    before = {name: value.clone() for name, value in parent.network.state_dict().items()}
    parent.network.train()
    Fitted(plain, "distill-1", parent.network, images=10 * B)
    assert not parent.network.training
    assert all(torch.equal(before[name], value) for name, value in parent.network.state_dict().items())


def test_each_generation_is_the_teacher_of_the_next():
    chain = stages(RfsOptions(generations=3))
    assert [stage.name for stage in chain] == ["simple", "distill-1", "distill-2", "distill-3"]
    assert [stage.parents for stage in chain] == [(), ("simple",), ("distill-1",), ("distill-2",)]
    assert [stage.name for stage in stages(RfsOptions(generations=0))] == ["simple"]


def test_students_are_freshly_initialised(run_bench, tmp_path):
    """With a learning rate of nothing, what a stage keeps is what it started from."""
    record = run_bench(
        methods=("rfs",), budget=16, set={"rfs.generations": 2, "rfs.learning_rate": 1e-30, "rfs.batch_size": 16}
    )
    found = [load_file(tmp_path / "runs" / stage.folder / "weights.safetensors") for stage in record.tables[0].stages]
    name = "backbone.blocks.1.0.weight"
    simple, first, second = (weights[name] for weights in found)
    assert simple.std() > 0
    for one, other in ((simple, first), (simple, second), (first, second)):
        assert (one - other).abs().mean() > 0.5 * simple.std()


def test_the_second_student_learns_from_the_first(run_bench, tmp_path, catalogue, tiny):
    """What distill-2 recorded as its distillation loss is that between its own weights and distill-1's."""
    settings = {"rfs.generations": 2, "rfs.learning_rate": 1e-30, "rfs.batch_size": 16}
    record = run_bench(methods=("rfs",), budget=16, set=settings)
    keys = [(stage.key, stage.parents) for stage in record.tables[0].stages]
    assert [parents for _, parents in keys] == [(), (keys[0][0],), (keys[1][0],)]
    folders = [tmp_path / "runs" / stage.folder for stage in record.tables[0].stages]
    header, line = (folders[2] / "metrics.csv").read_text().splitlines()
    recorded = dict(zip(header.split(","), line.split(","), strict=True))

    options = resolve(RFS, "quick", "tiny")
    build = BuildContext(tiny.spec, 8, options, lambda: CONV4.build(BackboneRequest(16)))
    networks = []
    for folder in folders:
        network = stages(options)[0].build(build)
        network.load_state_dict(load_file(folder / "weights.safetensors"))
        networks.append(network.eval())
    batch = _first_batch(tiny, json.loads((folders[2] / "identity.json").read_text())["seed"])
    with torch.no_grad():
        student = networks[2].train()(batch)[1].double().numpy()
        losses = []
        for teacher in networks[:2]:
            p, q = softmax(teacher(batch)[1].double().numpy() / 4), softmax(student / 4)
            losses.append(16 * (p * np.log(p / q)).sum(axis=1).mean())
    assert float(recorded["kd"]) == pytest.approx(losses[1], rel=1e-4)
    assert float(recorded["kd"]) != pytest.approx(losses[0], rel=1e-2)


def _first_batch(data, seed):
    """The first batch of a stage with two before it, as the trainer augments it."""
    from harness.common.randomness import derive, torch_generator
    from harness.images.augment import Augmenter

    own = derive(seed, "fit", 2)
    index = ShuffledBatches(16).epoch(data.train, numpy_generator(own, "order", 1, 0))[0]
    augmenter = Augmenter(data.spec.augmentation, data.spec.mean, data.spec.std)
    parameters = augmenter.draw(16, torch_generator("cpu", own, "augment", 1, 0))
    return augmenter.apply(torch.from_numpy(data.train.images[index]), parameters)


def test_simple_fits_one_batch(one_batch):
    fitted = Fitted(one_batch, "simple", epochs=60)
    assert fitted.trainer.history[-1]["loss"] < 0.05 < fitted.losses["loss"]


def test_a_student_fits_one_batch_and_its_teacher(one_batch):
    parent = Fitted(one_batch, "simple", epochs=30)
    fitted = Fitted(one_batch, "distill-1", parent.network, epochs=100)
    assert fitted.trainer.history[-1]["loss"] < 0.15 * fitted.losses["loss"]


# ── the schedule, as the trainer applies it ───────────────────────────────────────────────────────


class Drift(torch.nn.Module):
    """One weight whose gradient is 1, so that each step takes the learning rate off it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.seen = []

    def forward(self, images):
        self.seen.append(float(self.weight.detach()))
        return self.weight


@pytest.mark.parametrize("in_images", [False, True])
@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_the_learning_rate_that_is_applied_is_torchs(plain, schedule, in_images):
    """Ten passes of twelve steps; the milestones are the eighth and tenth part of RFS's 45, 60, 75 of 90 epochs."""
    length = {"epochs": 90, "images": 120 * B} if in_images else {"epochs": 10}
    milestones = (45, 60, 75) if in_images else (5, 7, 8)
    options = TrainingOptions(
        **length,
        batch_size=B,
        learning_rate=0.05,
        momentum=0.0,
        weight_decay=0.0,
        schedule=schedule,
        decay_at=milestones,
    )
    network = Drift()
    Trainer(plain.train, plain.spec, HARDWARE, seed=1).run(
        network, lambda n, b: {"loss": n(b.images)}, options.recipe()
    )
    positions = [*network.seen, float(network.weight.detach())]
    applied = -np.diff(positions)

    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=0.05)
    if schedule == "cosine":
        torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=120)
    else:  # in images, a milestone of 45 epochs of 90 is half of all steps
        steps = [int(np.ceil(m * 120 / 90)) if in_images else m * 12 for m in milestones]
        torchs = torch.optim.lr_scheduler.MultiStepLR(optimiser, steps, gamma=0.1)
    expected = []
    for _ in range(120):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        torchs.step()
    np.testing.assert_allclose(applied, expected, rtol=1e-6, atol=1e-12)


# ── DropBlock as the authors' code has it ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", ["simple", "distill-1"])
def test_the_preset_for_the_code_trains_with_its_masks_and_counter(plain, stage):
    options = resolve(RFS, "reference-code", "CIFAR-FS")
    asked = {"dropblock_masks": options.dropblock_masks, "dropblock_counter": options.dropblock_counter}
    parent = None if stage == "simple" else Fitted(plain, "simple", images=B).network
    fitted = Fitted(plain, stage, parent, backbone="resnet12", batch_size=4, images=8, **asked)
    n = len(plain.train)
    layers = [module for module in fitted.network.modules() if isinstance(module, DropBlock)]
    assert [(m.masks, m.epoch_steps, m.evaluation_forwards) for m in layers] == [("reference", n // 4, n // 2)] * 2
    plainly = Fitted(plain, stage, parent, backbone="resnet12", batch_size=4, images=8)
    layers = [module for module in plainly.network.modules() if isinstance(module, DropBlock)]
    assert [(m.masks, m.evaluation_forwards) for m in layers] == [("whole", 0)] * 2


@pytest.mark.parametrize(
    ("dataset", "n_train", "forwards"),
    [
        ("CIFAR-FS", 38_400, 1200),
        ("FC100", 36_000, 1125),
        ("miniImageNet", 38_400, 586),
        ("tieredImageNet", 448_695, 0),
    ],
)
def test_the_codes_validation_is_counted_in_batches_of_half_the_size(dataset, n_train, forwards):
    assert validation_forwards(dataset, n_train, 64) == forwards


@pytest.mark.parametrize("name", ["dropblock_masks", "dropblock_counter"])
def test_dropblock_decides_every_stage(name):
    assert all(name in stage.reads for stage in stages(RfsOptions()))


def test_the_preset_for_the_code_differs_from_the_papers_in_dropblock_alone():
    for dataset in ("CIFAR-FS", "FC100", "miniImageNet", "tieredImageNet", "glyphs"):
        paper, code = (resolve(RFS, preset, dataset).model_dump() for preset in ("paper", "reference-code"))
        assert {key for key in paper if paper[key] != code[key]} == {"dropblock_masks", "dropblock_counter"}
    assert RFS.presets["reference-code"].backbone == "resnet12"

"""harness/training/trainer.py: the loop, its schedule, its checkpoints."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.common.errors import HarnessError, PluginError, RunsError
from harness.contract.options import TrainingOptions
from harness.hardware.hardware import choose_hardware
from harness.training.batches import EpisodicBatches
from harness.training.events import EpochDone, TrainingProgress
from harness.training.recipe import Length
from harness.training.trainer import Trainer


class Net(nn.Module):
    def __init__(self, n_classes: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(4),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(128, n_classes),
            )

    def forward(self, images):
        return self.layers(images)


def cross_entropy(network, batch):
    return {"loss": F.cross_entropy(network(batch.images), batch.labels)}


def trainer(tiny, folder=None, precision="32", **more):
    return Trainer(tiny.train, tiny.spec, choose_hardware("cpu", precision, 1), seed=1, folder=folder, **more)


def options(**values):
    return TrainingOptions(**{"epochs": 3, "batch_size": 16, "schedule": "constant", **values})


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


def test_training_lowers_the_loss_and_counts_what_it_did(tiny):
    network, loop = Net(), trainer(tiny)
    loop.run(network, cross_entropy, options(epochs=6), copies=1)
    losses = [row["loss"] for row in loop.history]
    assert losses[-1] < losses[0] / 2
    assert loop.images_seen == 6 * (192 // 16) * 16
    assert loop.flops > 0
    assert not network.training


def test_the_step_schedule_agrees_with_torch():
    settings = options(epochs=10, schedule="step", decay_at=(4, 7), learning_rate=0.1)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimiser, [4, 7], 0.1)
    length = Length.of(settings, epoch_steps=5, step_images=16)
    for epoch in range(10):
        for step in range(5):
            ours = settings.learning_rate * length.decay(settings, epoch * 5 + step)
            assert ours == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        reference.step()


def test_the_cosine_schedule_agrees_with_torch():
    settings = options(schedule="cosine", learning_rate=0.1)
    length = Length.of(settings, epoch_steps=20, step_images=16)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=60)
    for step in range(60):
        assert settings.learning_rate * length.decay(settings, step) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        reference.step()


def test_a_length_in_images_keeps_the_shape_of_the_step_schedule():
    by_epochs = options(epochs=90, schedule="step", decay_at=(45, 60, 75))
    by_images = by_epochs.model_copy(update={"images": 900 * 16})
    long, short = Length.of(by_epochs, 100, 16), Length.of(by_images, 100, 16)
    assert (long.steps, short.steps) == (9000, 900)
    for share in (0.0, 0.3, 0.51, 0.7, 0.9):
        assert long.decay(by_epochs, int(share * 9000)) == pytest.approx(short.decay(by_images, int(share * 900)))


def test_a_length_in_images_counts_rotated_copies(tiny):
    loop = trainer(tiny)
    loop.run(Net(), lambda n, b: cross_entropy(n, b), options(images=1000), copies=4)
    assert loop.images_seen == 16 * 64  # 15.6 steps of 64 images, rounded up


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_resumed_training_repeats_every_bit(tiny, tmp_path, precision, optimiser):
    settings = options(epochs=4, optimiser=optimiser, schedule="cosine", learning_rate=0.01)
    whole = Net(dropout=0.3)
    trainer(tiny, precision=precision).run(whole, cross_entropy, settings)

    class Killed(Exception):
        pass

    def kill(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise Killed

    half = Net(dropout=0.3)
    with pytest.raises(Killed):
        trainer(tiny, tmp_path, precision, report=kill).run(half, cross_entropy, settings)
    resumed, loop = Net(dropout=0.3), trainer(tiny, tmp_path, precision)
    loop.run(resumed, cross_entropy, settings)
    assert same(state(whole), state(resumed))
    assert [row["epoch"] for row in loop.history] == [1, 2, 3, 4]
    assert loop.images_seen == 4 * 192


def test_a_finished_phase_is_not_trained_again(tiny, tmp_path):
    first = Net()
    trainer(tiny, tmp_path).run(first, cross_entropy, options())
    again, epochs = Net(), []
    loop = trainer(tiny, tmp_path, report=epochs.append)
    loop.run(again, cross_entropy, options())
    assert not epochs
    assert same(state(first), state(again))


def test_seeds_decide_the_order_and_the_augmentation(tiny):
    results = []
    for seed in (1, 1, 2):
        network = Net()
        Trainer(tiny.train, tiny.spec, choose_hardware("cpu", "32", 1), seed).run(network, cross_entropy, options())
        results.append(state(network))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_the_best_validation_epoch_is_kept(tiny, tmp_path):
    seen, network = [], Net()
    accuracies = iter([0.2, 0.9, 0.5])

    def validate(trained):
        seen.append(state(trained))
        return next(accuracies)

    loop = trainer(tiny, tmp_path, validate=validate)
    loop.run(network, cross_entropy, options(selection="best-val"))
    assert same(state(network), seen[1])
    assert [row["val_accuracy"] for row in loop.history] == [0.2, 0.9, 0.5]


def test_selection_without_validation_classes_is_refused_before_training(tiny):
    loop = trainer(tiny, validate=None)
    with pytest.raises(HarnessError, match="selection = best-val, but tiny has no validation classes to select on"):
        loop.run(Net(), cross_entropy, options(selection="best-val"))
    assert (loop.images_seen, loop.history) == (0, [])


def test_a_loss_that_is_not_finite_is_told(tiny):
    with pytest.raises(HarnessError, match="not finite after epoch 1"):
        trainer(tiny).run(Net(), cross_entropy, options(learning_rate=1e30))


def test_progress_counts_up_to_the_announced_total(tiny, monkeypatch):
    import harness.training

    monkeypatch.setattr(harness.training.trainer, "PROGRESS_EVERY", 0.0)
    events = []
    trainer(tiny, report=events.append).run(Net(), cross_entropy, options(epochs=2), copies=1)
    progress = [event for event in events if isinstance(event, TrainingProgress)]
    assert progress[-1].images == progress[-1].total_images == 384
    assert [event.images for event in progress] == sorted(event.images for event in progress)


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content[:-9] + b"?" + content[-8:]])
def test_a_damaged_checkpoint_is_told(tiny, tmp_path, damage):
    def interrupted(event):
        if isinstance(event, EpochDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tiny, tmp_path, report=interrupted).run(Net(), cross_entropy, options())
    path = tmp_path / "checkpoint-1.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunsError, match=f"{path} is damaged: .* Delete it to train from the beginning"):
        trainer(tiny, tmp_path).run(Net(), cross_entropy, options())


def test_losses_without_a_loss_are_told(tiny):
    with pytest.raises(PluginError, match="the losses kd have none named 'loss'"):
        trainer(tiny).run(Net(), lambda network, batch: {"kd": network(batch.images).mean()}, options())


class Named(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor


@pytest.mark.parametrize("make", [Named, lambda *both: list(both), lambda *both: dict(enumerate(both))])
def test_whatever_a_teacher_returns_keeps_its_shape_and_comes_in_32_bits(tiny, make):
    class Teacher(torch.nn.Linear):
        def forward(self, inputs):
            return make(super().forward(inputs), super().forward(2 * inputs))

    found = trainer(tiny, precision="bf16").frozen(Teacher(2, 2))(torch.ones(1, 2))
    assert type(found) is type(make(torch.ones(1), torch.ones(1)))
    values = found.values() if isinstance(found, dict) else found
    assert [value.dtype for value in values] == [torch.float32] * 2


def test_a_teacher_is_frozen_and_keeps_its_batch_statistics(tiny):
    teacher = Net()
    before = copy.deepcopy(state(teacher))
    loop = trainer(tiny)
    call = loop.frozen(teacher)
    out = call(torch.randn(4, 3, 16, 16))
    assert out.dtype == torch.float32
    assert not out.requires_grad
    assert same(before, state(teacher))
    assert not any(weight.requires_grad for weight in teacher.parameters())


def test_episodic_batches_have_distinct_images_of_the_right_classes(tiny):
    batches = EpisodicBatches(n_way=5, k_shot=2, n_query=3, per_epoch=40)
    steps = batches.epoch(tiny.train, np.random.default_rng(0))
    assert steps.shape == (40, 25)
    for step in steps:
        assert len(set(step)) == 25
        labels = tiny.train.labels[step].reshape(5, 5)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 5


def test_every_image_of_a_class_is_a_support_and_a_query_equally_often(tiny):
    steps = EpisodicBatches(n_way=4, k_shot=1, n_query=3, per_epoch=6000).epoch(tiny.train, np.random.default_rng(0))
    by_class = steps.reshape(-1, 4)  # (24,000, 1 + 3): each of 8 · 24 images is a support 125 times, a query 375 times
    for chosen, expected in ((by_class[:, 0], 125), (by_class[:, 1:], 375)):
        counts = np.bincount(chosen.reshape(-1), minlength=8 * 24)
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_episodic_batches_that_do_not_fit_are_refused(tiny):
    with pytest.raises(HarnessError, match="there are 8, the smallest with 24 images"):
        EpisodicBatches(n_way=9, k_shot=1, n_query=1).epoch(tiny.train, np.random.default_rng(0))
    with pytest.raises(HarnessError, match="25 images each"):
        EpisodicBatches(n_way=2, k_shot=10, n_query=15).epoch(tiny.train, np.random.default_rng(0))

"""harness/training/trainer.py: the loop, its schedule, its checkpoints."""

from __future__ import annotations

import copy
import re
from typing import NamedTuple

import pytest
import torch

from harness.common.errors import HarnessError, PluginError, RunsError
from harness.contract.options import TrainingOptions
from harness.hardware.hardware import choose_hardware
from harness.training.events import EpochDone, TrainingProgress
from harness.training.trainer import Trainer
from tests.helpers.training import Net, cross_entropy, same, state


def trainer(tiny, folder=None, precision="32", **more):
    return Trainer(tiny.train, tiny.spec, choose_hardware("cpu", precision, 1), seed=1, folder=folder, **more)


def recipe(copies=1, **values):
    """A short one of these options."""
    options = TrainingOptions(**{"epochs": 3, "batch_size": 16, "schedule": "constant", **values})
    return options.recipe(copies=copies)


def test_training_lowers_the_loss_and_counts_what_it_did(tiny):
    network, loop = Net(), trainer(tiny)
    loop.run(network, cross_entropy, recipe(epochs=6))
    losses = [row["loss"] for row in loop.history]
    assert losses[-1] < losses[0] / 2
    assert loop.images_seen == 6 * (192 // 16) * 16
    assert loop.flops > 0
    assert not network.training


def test_a_length_in_images_counts_rotated_copies(tiny):
    loop = trainer(tiny)
    loop.run(Net(), lambda n, b: cross_entropy(n, b), recipe(copies=4, images=1000))
    assert loop.images_seen == 16 * 64  # 15.6 steps of 64 images, rounded up


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_resumed_training_repeats_every_bit(tiny, tmp_path, precision, optimiser):
    settings = recipe(epochs=4, optimiser=optimiser, schedule="cosine", learning_rate=0.01)
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
    trainer(tiny, tmp_path).run(first, cross_entropy, recipe())
    again, epochs = Net(), []
    loop = trainer(tiny, tmp_path, report=epochs.append)
    loop.run(again, cross_entropy, recipe())
    assert not epochs
    assert same(state(first), state(again))


def test_seeds_decide_the_order_and_the_augmentation(tiny):
    results = []
    for seed in (1, 1, 2):
        network = Net()
        Trainer(tiny.train, tiny.spec, choose_hardware("cpu", "32", 1), seed).run(network, cross_entropy, recipe())
        results.append(state(network))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_the_best_validation_epoch_is_kept(tiny, tmp_path):
    seen, network = [], Net()
    accuracies = iter([0.2, 0.9, 0.5])

    def validate(trained, selection):
        seen.append(state(trained))
        return next(accuracies)

    loop = trainer(tiny, tmp_path, validate=validate)
    loop.run(network, cross_entropy, recipe(selection="best-val"))
    assert same(state(network), seen[1])
    assert [row["val_accuracy"] for row in loop.history] == [0.2, 0.9, 0.5]


def test_selection_without_validation_classes_is_refused_before_training(tiny):
    loop = trainer(tiny, validate=None)
    with pytest.raises(HarnessError, match="selection = best-val, but tiny has no validation classes to select on"):
        loop.run(Net(), cross_entropy, recipe(selection="best-val"))
    assert (loop.images_seen, loop.history) == (0, [])


def test_a_loss_that_is_not_finite_is_told(tiny):
    with pytest.raises(
        HarnessError, match=r"not finite from step \d+ of epoch 1 on \(loss .*: try a lower learning rate"
    ):
        trainer(tiny).run(Net(), cross_entropy, recipe(learning_rate=1e30))


def turning_infinite(at, calls, name="twins", value=float("nan")):
    """A loss of two terms, of which one is no number from a step on; ``calls`` grows by one a step."""

    def loss(network, batch):
        calls.append(1)
        labels = cross_entropy(network, batch)["loss"]
        terms = {"twins": torch.tensor(110.5), "labels": labels.detach()}
        if len(calls) >= at:
            terms[name] = torch.tensor(value)
        return {"loss": labels + 0 * sum(terms.values()), **terms}

    return loss


def test_the_first_step_without_a_finite_loss_is_told_with_its_terms_and_fitting_advice(tiny):
    with pytest.raises(HarnessError) as caught:
        trainer(tiny).run(Net(), turning_infinite(1, []), recipe())
    assert re.fullmatch(
        r"the loss is not finite from step 1 of epoch 1 on \(loss nan, twins nan, labels 2\.\d+\): "
        "look at its formula and at the data",
        str(caught.value),
    )
    with pytest.raises(HarnessError, match=r"from step 3 of epoch 2 on \(.*\): try a lower learning rate"):
        trainer(tiny).run(Net(), turning_infinite(12 + 3, []), recipe())


def test_a_term_alone_that_is_not_finite_is_told_too(tiny):
    def loss(network, batch):
        return {**cross_entropy(network, batch), "distance": torch.tensor(float("inf"))}

    with pytest.raises(HarnessError, match=r"from step 1 of epoch 1 on \(loss 2\.\d+, distance inf\)"):
        trainer(tiny).run(Net(), loss, recipe())


def test_a_loss_that_is_not_finite_ends_the_training_at_the_next_report(tiny, monkeypatch):
    import harness.training.loop

    monkeypatch.setattr(harness.training.loop, "PROGRESS_EVERY", 0.0)
    calls, events = [], []
    with pytest.raises(HarnessError, match="from step 5 of epoch 1"):
        trainer(tiny, report=events.append).run(Net(), turning_infinite(5, calls), recipe())
    reports = [event for event in events if isinstance(event, TrainingProgress)]
    assert (len(calls), len(reports)) == (5, 4)  # of twelve steps an epoch


def test_progress_counts_up_to_the_announced_total(tiny, monkeypatch):
    import harness.training.loop

    monkeypatch.setattr(harness.training.loop, "PROGRESS_EVERY", 0.0)
    events = []
    trainer(tiny, report=events.append).run(Net(), cross_entropy, recipe(epochs=2))
    progress = [event for event in events if isinstance(event, TrainingProgress)]
    assert progress[-1].images == progress[-1].total_images == 384
    assert [event.images for event in progress] == sorted(event.images for event in progress)


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content[:-9] + b"?" + content[-8:]])
def test_a_damaged_checkpoint_is_told(tiny, tmp_path, damage):
    def interrupted(event):
        if isinstance(event, EpochDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(tiny, tmp_path, report=interrupted).run(Net(), cross_entropy, recipe())
    path = tmp_path / "checkpoint-1.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunsError, match=f"{path} is damaged: .* Delete it to train from the beginning"):
        trainer(tiny, tmp_path).run(Net(), cross_entropy, recipe())


def test_losses_without_a_loss_are_told(tiny):
    with pytest.raises(PluginError, match="the losses kd have none named 'loss'"):
        trainer(tiny).run(Net(), lambda network, batch: {"kd": network(batch.images).mean()}, recipe())


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

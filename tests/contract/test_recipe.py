"""harness/contract/recipe.py and options.py: schedules beside torch's, lengths, and recipes made of options."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import Field
from torch import nn

from harness.common.errors import PluginError, UnknownName
from harness.contract.batches import EpisodicBatches, ShuffledBatches
from harness.contract.options import GradientOptions, TrainingOptions
from harness.contract.recipe import (
    Adam,
    Length,
    Position,
    Recipe,
    Selection,
    Sgd,
    StepDecay,
    WarmUp,
    constant,
    cosine,
)


def rates(schedule, scheduler_of, steps, epoch_steps, every=1):
    """Pairs of ours and torch's; torch's scheduler steps once in ``every`` steps."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    torchs = scheduler_of(optimiser)
    for step in range(steps):
        yield 0.1 * schedule(Position(step, steps, epoch_steps)), optimiser.param_groups[0]["lr"]
        optimiser.step()
        if (step + 1) % every == 0:
            torchs.step()


def test_step_decay_agrees_with_torch():
    torchs = torch.optim.lr_scheduler.MultiStepLR
    for ours, expected in rates(StepDecay((4, 7), 0.1), lambda o: torchs(o, [4, 7], 0.1), 50, 5, every=5):
        assert ours == pytest.approx(expected)


def test_cosine_agrees_with_torch():
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR
    for ours, expected in rates(cosine, lambda o: torchs(o, T_max=60), 60, 20):
        assert ours == pytest.approx(expected)


def test_a_warm_up_rises_as_torchs_and_then_leaves_the_schedule_alone():
    torchs = torch.optim.lr_scheduler.LinearLR
    found = list(rates(WarmUp(2.0), lambda o: torchs(o, start_factor=1 / 20, total_iters=19), 80, 10))
    for ours, expected in found:
        assert ours == pytest.approx(expected)
    late = Position(40, 80, 10)
    assert WarmUp(2.0, then=cosine)(late) == cosine(late)


def test_a_warm_up_reaches_the_full_rate_in_a_quarter_of_a_training_shorter_than_itself():
    """Ten epochs of rise in a training of four: at a step of forty the rate is full, as a rise of one epoch's is."""
    rise = [WarmUp(10.0)(Position(step, 40, 10)) for step in range(40)]
    assert rise == [WarmUp(1.0)(Position(step, 40, 10)) for step in range(40)]
    assert rise[8:10] == pytest.approx([0.9, 1.0])
    assert [WarmUp(10.0)(Position(step, 3, 10)) for step in range(3)] == [1.0, 1.0, 1.0]


def test_step_decay_of_many_epochs_keeps_its_shape_at_any_length():
    of_ninety = StepDecay((45, 60, 75), of=90)
    for share in (0.0, 0.3, 0.51, 0.7, 0.9):
        assert of_ninety(Position(int(share * 900), 900, 100)) == StepDecay((45, 60, 75))(
            Position(int(share * 9000), 9000, 100)
        )


@pytest.mark.parametrize(
    ("length", "steps"),
    [(Length(epochs=3), 36), (Length(images=1000), 16), (Length(images=1024), 16), (Length(steps=7), 7)],
)
def test_a_length_in_any_unit_is_whole_steps(length, steps):
    assert length.in_steps(epoch_steps=12, step_images=64) == steps


@pytest.mark.parametrize("units", [{}, {"epochs": 0}, {"epochs": 2, "images": 100}])
def test_a_length_is_given_in_one_unit(units):
    with pytest.raises(PluginError, match="give one of epochs, images and steps"):
        Length(**units)


def test_a_recipe_of_options_says_what_they_say():
    assert TrainingOptions().recipe() == Recipe(
        Length(epochs=90), Sgd(0.05, 0.9, 5e-4), StepDecay((45, 60, 75), 0.1), ShuffledBatches(64)
    )
    options = TrainingOptions(
        images=5000, optimiser="adam", learning_rate=0.01, weight_decay=0.1, schedule="cosine", selection="best-val"
    )
    found = options.recipe(copies=4)
    assert (found.length, found.optimiser, found.schedule) == (Length(images=5000), Adam(0.01, 0.1), cosine)
    assert (found.selection, found.copies, found.step_images) == (Selection(), 4, 256)
    assert TrainingOptions(schedule="constant").recipe().schedule is constant
    assert TrainingOptions(images=10).recipe().schedule == StepDecay((45, 60, 75), 0.1, of=90)


class Twice(GradientOptions):
    second_images: int | None = Field(None, description="images of the second")
    second_learning_rate: float = Field(0.5, description="rate of the second")


def test_a_prefix_lets_options_stand_in_for_their_namesakes_where_they_have_a_value():
    batches = EpisodicBatches(5, 1, 3)
    found = Twice(images=100).recipe("second_", batches=batches)
    assert (found.length, found.optimiser, found.batches) == (Length(images=100), Sgd(0.5, 0.9, 5e-4), batches)
    assert Twice(images=100, second_images=7).recipe("second_", batches=batches).length == Length(images=7)


def test_parts_take_the_place_of_what_options_say():
    warm = WarmUp(1.0, then=cosine)
    found = TrainingOptions().recipe(schedule=warm, length=Length(steps=5), selection=None, clip=1.0)
    assert (found.schedule, found.length, found.clip) == (warm, Length(steps=5), 1.0)


def test_a_part_that_no_recipe_has_is_told_with_a_suggestion():
    with pytest.raises(UnknownName, match=r"unknown part of a recipe 'clipping'\. Did you mean 'clip'\?"):
        TrainingOptions().recipe(clipping=1.0)


def test_options_without_a_batch_size_say_that_batches_are_missing():
    with pytest.raises(PluginError, match=r"Twice has no batch_size: hand batches="):
        Twice().recipe()


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan])
def test_a_clip_that_stops_all_training_is_told(clip):
    with pytest.raises(PluginError, match="clip"):
        Recipe(clip=clip)

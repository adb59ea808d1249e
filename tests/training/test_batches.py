"""harness/contract/batches.py, harness/training/batches.py: which images a step sees, changed how, in what episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.common.errors import HarnessError, PluginError
from harness.contract.batches import EpisodicBatches, ShuffledBatches
from harness.contract.data import Augmentation
from harness.contract.recipe import Recipe
from harness.hardware.hardware import choose_hardware
from harness.images.augment import normalise
from harness.training.trainer import Trainer

CPU = torch.device("cpu")


def stream(data, rank=0, world_size=1, seed=1, **about):
    trainer = Trainer(data.train, data.spec, choose_hardware("cpu", "32", 1), seed)
    return trainer.stream(Recipe(**about), 1, rank, world_size)


def batches(data, epoch=0, **about):
    found = stream(data, **about)
    return list(found.batches(epoch, found.steps(epoch)))


# ── views ─────────────────────────────────────────────────────────────────────────────────────────


def test_views_are_of_the_same_images_view_after_view(plain):
    for one, two in zip(batches(plain), batches(plain, views=3), strict=True):
        assert two.images.shape == (3 * 64, 3, 16, 16)
        assert two.images.is_contiguous(memory_format=torch.channels_last)
        assert all(torch.equal(two.view(number), one.images) for number in range(3))
        assert torch.equal(one.labels, two.labels)


def test_each_view_of_each_image_is_changed_by_itself_and_the_first_as_if_alone(tiny):
    (alone, *_), (batch, *_) = batches(tiny), batches(tiny, views=2)
    first, second = batch.view(0), batch.view(1)
    assert torch.equal(first, alone.images)
    assert ((first - second).flatten(1).abs().amax(1) > 0).float().mean() > 0.9


def test_views_repeat_with_the_seed_and_differ_between_epochs_and_seeds(tiny):
    (one, *_), (again, *_) = batches(tiny, views=2), batches(tiny, views=2)
    (later, *_), (other, *_) = batches(tiny, epoch=1, views=2), batches(tiny, seed=2, views=2)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, later.images)
    assert not torch.equal(one.images, other.images)


def noisy(images, generator):
    """Brighter by a number of each image's own."""
    drawn = torch.randint(0, 50, (len(images), 1, 1, 1), generator=generator, device=images.device)
    return (images.int() + drawn).clamp_max(255).to(torch.uint8)


@pytest.mark.parametrize("augmentation", [None, noisy, (None, noisy)])
def test_views_do_not_depend_on_the_number_of_processes(tiny, augmentation):
    about = {"views": 2, "augmentation": augmentation}
    whole = batches(tiny, **about)
    halves = [batches(tiny, rank=rank, world_size=2, **about) for rank in range(2)]
    for batch, *parts in zip(whole, *halves, strict=True):
        for view in range(2):
            torch.testing.assert_close(torch.cat([part.view(view) for part in parts]), batch.view(view))
        assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)


def test_a_change_of_the_methods_own_is_normalised_and_may_be_for_one_view_alone(plain):
    def inverted(images, generator):
        return 255 - images

    found = stream(plain, views=2, augmentation=(None, inverted))
    steps = found.steps(0)
    batch = next(found.batches(0, steps))
    images = torch.from_numpy(plain.train.images[steps[0].index])
    mean, std = torch.tensor(plain.spec.mean), torch.tensor(plain.spec.std)
    torch.testing.assert_close(batch.view(0), normalise(images, mean, std))
    torch.testing.assert_close(batch.view(1), normalise(255 - images, mean, std))


def test_an_augmentation_stronger_than_the_datasets_is_used_in_its_place(plain):
    (batch, *_) = batches(plain)
    (jittered, *_) = batches(plain, augmentation=Augmentation(jitter=0.8))
    assert not torch.equal(batch.images, jittered.images)


def test_a_change_that_loses_images_is_told(tiny):
    with pytest.raises(PluginError, match=r"made \(1, 16, 16, 3\) of images \(64, 16, 16, 3\)"):
        batches(tiny, augmentation=lambda images, generator: images[:1])


def test_a_recipe_with_views_without_sense_is_told():
    with pytest.raises(PluginError, match="views = 0"):
        Recipe(views=0)
    with pytest.raises(PluginError, match=r"3 augmentations for 2 view\(s\)"):
        Recipe(views=2, augmentation=(None, None, None))


# ── episodes ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("episodes", [1, 4])
def test_a_batch_says_which_of_its_images_are_supports_and_queries_of_which_class(tiny, episodes):
    for batch in batches(tiny, batches=EpisodicBatches(3, 2, 4, per_epoch=5, episodes=episodes)):
        layout = batch.episodes
        assert len(layout) == episodes
        assert len(batch.images) == len(batch.labels) == episodes * 3 * (2 + 4)
        for episode in range(episodes):
            support, query = batch.labels[layout.support[episode]], batch.labels[layout.query[episode]]
            assert len(support.unique()) == 3
            for label in range(3):  # one base class has this label in the episode, among supports and queries
                (base,) = support[layout.support_labels[episode] == label].unique()
                assert set(query[layout.query_labels[episode] == label].tolist()) == {int(base)}
        places = torch.cat([layout.support.flatten(), layout.query.flatten()])
        assert places.sort().values.tolist() == list(range(len(batch.images)))


def test_values_are_split_into_supports_and_queries_with_nested_shots(tiny):
    (batch,) = batches(tiny, batches=EpisodicBatches(3, 5, 4, per_epoch=1, episodes=2))
    layout, values = batch.episodes, torch.arange(len(batch.images)).view(-1, 1) * 10
    support, query = layout.split(values)
    assert torch.equal(support[..., 0], layout.support * 10)
    assert torch.equal(query[..., 0], layout.query * 10)
    fewer, same_query = layout.split(values, k_shot=2)
    assert torch.equal(fewer.view(2, 3, 2), support.view(2, 3, 5)[:, :, :2])
    assert torch.equal(query, same_query)


def test_way_and_shot_may_vary_between_steps(tiny):
    shaped = EpisodicBatches((2, 5), (1, 3), 2, per_epoch=60, episodes=2)
    found = batches(tiny, batches=shaped)
    shapes = {(batch.episodes.n_way, batch.episodes.k_shot) for batch in found}
    assert shapes == {(way, shot) for way in (2, 3, 4, 5) for shot in (1, 2, 3)}
    for batch in found:
        assert len(batch.images) == 2 * batch.episodes.n_way * (batch.episodes.k_shot + 2)
    assert np.mean([len(batch.images) for batch in found]) == pytest.approx(shaped.size, rel=0.2)


def test_bounds_without_sense_and_varying_steps_that_are_divided_are_told():
    with pytest.raises(PluginError, match=r"n_way = \(5, 2\)"):
        EpisodicBatches((5, 2), 1, 1)
    with pytest.raises(PluginError, match="steps that differ in size"):
        EpisodicBatches((2, 5), 1, 1, divisible=True)


def test_episodes_of_two_processes_are_of_the_whole_batch(tiny):
    about = {"batches": EpisodicBatches(4, 2, 4, per_epoch=2, divisible=True)}
    (whole, _), (half, _) = batches(tiny, **about), batches(tiny, world_size=2, rank=1, **about)
    assert torch.equal(whole.episodes.support, half.episodes.support)
    assert torch.equal(whole.labels[12:], half.labels)


def test_the_examples_of_a_small_split_are_repeated_to_fill_a_batch(tiny):
    few = replace(tiny.train, images=tiny.train.images[:10], labels=tiny.train.labels[:10])
    (index,) = ShuffledBatches(16).epoch(few, np.random.default_rng(0))
    assert sorted(set(index)) == list(range(10))


def indices(batches, split):
    return np.stack([step.index for step in batches.epoch(split, np.random.default_rng(0))])


def test_episodic_batches_have_distinct_images_of_the_right_classes(tiny):
    batches = EpisodicBatches(n_way=5, k_shot=2, n_query=3, per_epoch=40)
    steps = indices(batches, tiny.train)
    assert steps.shape == (40, 25)
    for step in steps:
        assert len(set(step)) == 25
        labels = tiny.train.labels[step].reshape(5, 5)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == 5


def test_every_image_of_a_class_is_a_support_and_a_query_equally_often(tiny):
    steps = indices(EpisodicBatches(n_way=4, k_shot=1, n_query=3, per_epoch=6000), tiny.train)
    by_class = steps.reshape(-1, 4)  # (24,000, 1 + 3): each of 8 · 24 images is a support 125 times, a query 375 times
    for chosen, expected in ((by_class[:, 0], 125), (by_class[:, 1:], 375)):
        counts = np.bincount(chosen.reshape(-1), minlength=8 * 24)
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_episodic_batches_that_do_not_fit_are_refused(tiny):
    with pytest.raises(HarnessError, match="there are 8, the smallest with 24 images"):
        EpisodicBatches(n_way=9, k_shot=1, n_query=1).epoch(tiny.train, np.random.default_rng(0))
    with pytest.raises(HarnessError, match="25 images each"):
        EpisodicBatches(n_way=2, k_shot=10, n_query=15).epoch(tiny.train, np.random.default_rng(0))

"""plugins/finetune, Meta-Baseline: its episodic loss by hand, where it starts, its learned scale, what it can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness_finetune.meta_baseline import META_BASELINE

from harness.contract.presets import resolve
from tests.helpers.finetune import B, Fitted, cross_entropy, noise, part

EPISODES, WAY, SHOT, QUERY = 2, 3, 2, 3
SHAPE = {"train_episodes": EPISODES, "train_way": WAY, "train_shot": SHOT, "train_query": QUERY}
IMAGES = EPISODES * WAY * (SHOT + QUERY)  # of a step


@pytest.fixture
def pretrained(plain):
    return Fitted(plain, META_BASELINE, "pretrain", images=4 * B).network


def meta(data, parent, **values):
    chosen = {**SHAPE, "images": IMAGES, "meta_learning_rate": 0.02, "meta_selection": "last", **values}
    return Fitted(data, META_BASELINE, "meta", parent, **chosen)


def test_the_loss_is_that_of_scaled_cosines_to_class_means(plain, pretrained):
    fitted = meta(noise(plain), pretrained, scale=7.0)
    features = fitted.outputs[0][0].reshape(EPISODES, WAY, SHOT + QUERY, -1)
    logits, labels = [], []
    for episode in features:
        means = [images[:SHOT].mean(axis=0) for images in episode]
        for label, images in enumerate(episode):
            for query in images[SHOT:]:
                cosines = [query @ mean / np.linalg.norm(query) / np.linalg.norm(mean) for mean in means]
                logits.append(7 * np.array(cosines))
                labels.append(label)
    expected = cross_entropy(np.array(logits), labels)
    assert expected > 0.1
    assert fitted.losses["loss"] == pytest.approx(expected, rel=1e-4)
    assert fitted.trainer.images_seen == IMAGES


def test_it_starts_from_the_weights_of_pretrain(plain, pretrained):
    before = {name: value.clone() for name, value in pretrained.backbone.state_dict().items()}
    fitted = meta(plain, pretrained, meta_learning_rate=1e-30)
    for name, weight in fitted.network.backbone.named_parameters():
        assert torch.equal(weight, before[name])
    moved = meta(plain, pretrained, meta_learning_rate=0.1)
    assert not torch.equal(moved.network.backbone.blocks[0][0].weight, before["blocks.0.0.weight"])
    assert all(torch.equal(value, before[name]) for name, value in pretrained.backbone.state_dict().items())


def test_the_scale_is_learned_downhill(plain, pretrained):
    """One step of plain SGD moves it against the slope of the loss, measured by finite differences."""
    rate = 0.5
    still = {"momentum": 0.0, "weight_decay": 0.0, "meta_learning_rate": rate}
    fitted = meta(noise(plain), pretrained, scale=7.0, **still)
    higher = meta(noise(plain), pretrained, scale=7.1, **still).losses["loss"]
    lower = meta(noise(plain), pretrained, scale=6.9, **still).losses["loss"]
    slope = (higher - lower) / 0.2
    assert abs(slope) > 1e-3
    assert fitted.network.scale.item() == pytest.approx(7.0 - rate * slope, abs=0.05 * rate * abs(slope))


def test_images_of_training_episodes_are_not_augmented(tiny, plain, pretrained):
    augmented, as_they_are = meta(tiny, pretrained), meta(plain, pretrained)
    assert torch.equal(augmented.inputs[0], as_they_are.inputs[0])
    with_crops = Fitted(tiny, META_BASELINE, "pretrain", images=B)
    assert not torch.equal(with_crops.inputs[0], Fitted(plain, META_BASELINE, "pretrain", images=B).inputs[0])


def test_episodes_of_a_few_images_are_learned(plain, pretrained):
    data = part(noise(plain), WAY, SHOT + QUERY)
    fitted = meta(data, pretrained, images=60 * IMAGES, meta_steps=20, meta_learning_rate=0.05)
    assert fitted.last["loss"] < 0.1 * fitted.losses["loss"]


@pytest.mark.parametrize(("preset", "shot"), [("paper", 1), ("paper-5-shot", 5)])
def test_presets_hold_the_published_values(preset, shot):
    options = resolve(META_BASELINE, preset, "miniImageNet")
    assert (options.epochs, options.batch_size, options.decay_at, options.learning_rate) == (100, 128, (90,), 0.1)
    assert (options.meta_epochs, options.meta_steps, options.train_episodes) == (20, 200, 4)
    assert (options.meta_learning_rate, options.meta_schedule, options.weight_decay) == (1e-3, "constant", 5e-4)
    assert (options.train_way, options.train_shot, options.train_query, options.scale) == (5, shot, 15, 10.0)
    assert (options.selection, options.meta_selection) == ("last", "best-val")
    tiered = resolve(META_BASELINE, preset, "tieredImageNet")
    assert (tiered.epochs, tiered.batch_size, tiered.decay_at, tiered.meta_steps) == (120, 512, (40, 80), 10)
    assert str(META_BASELINE.head) == "cosine"

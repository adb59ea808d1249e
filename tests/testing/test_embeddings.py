"""harness/testing: features that break the contract are found, and their fault named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.networks.learners import ClassifierNetwork
from tests.helpers.contract import method, refused


def learner_with(embed):
    class Odd(ClassifierNetwork):
        pass

    Odd.embed = embed
    return method(lambda context: Odd(context))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda features: features.double(), "torch.float64, not torch.float32"),
        (lambda features: features / 0, "NaN or infinite"),
        (lambda features: features[:, :, None], "shape"),
        (lambda features: features - features.mean(dim=0), "an image alone has other features"),
    ],
)
def test_features_that_are_not_what_they_must_be_are_found(change, message):
    assert message in refused(learner_with(lambda self, images: change(ClassifierNetwork.embed(self, images))))


def test_batch_statistics_in_embed_are_found():
    def in_training_mode(self, images):
        with torch.inference_mode(False), torch.no_grad():
            self.train()
            return ClassifierNetwork.embed(self, images.clone())

    assert "only: " in refused(learner_with(in_training_mode))


def test_randomness_in_embed_is_found():
    rng = np.random.default_rng(0)

    def noisy(self, images):
        return ClassifierNetwork.embed(self, images) * (1 + 1e-5 * rng.random())

    assert "the same images twice give other outputs" in refused(learner_with(noisy))


def test_images_changed_in_place_are_found():
    def inverting(self, images):
        features = ClassifierNetwork.embed(self, images)
        images.zero_()
        return features

    assert "the images that were handed over are changed" in refused(learner_with(inverting))

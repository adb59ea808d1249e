"""--augment: how far training images are changed at random, the same for every method of a bench."""

from __future__ import annotations

import numpy as np
import pytest

from harness.contract.hooks import hookimpl
from harness.contract.methods import MethodSpec, Stage
from harness.contract.options import TrainingOptions
from harness.reports.build import build_report
from harness.reports.formats.markdown import markdown


@pytest.fixture
def batches(catalogue):
    """What a method met in its first step, by the order of its runs."""
    seen = []

    def build(context):
        from harness import ClassifierNetwork

        return ClassifierNetwork(context)

    def fit(context, learner):
        from torch.nn import functional as F

        def loss(network, batch):
            seen.append(batch.images.detach().clone())
            return {"loss": F.cross_entropy(network(batch.images)[1], batch.labels)}

        context.trainer.run(learner, loss, context.options.recipe())

    class Plugin:
        @hookimpl
        def harness_methods(self):
            return [
                MethodSpec("watch", "it watches", "", TrainingOptions, lambda options: [Stage("watch", build, fit)])
            ]

    catalogue.add("watch", Plugin())
    return seen


def test_without_augmentation_training_images_are_those_of_the_dataset(run_bench, batches, tiny):
    run_bench(methods=("watch",), augment="none", budget=64)
    pixels = (batches[0].permute(0, 2, 3, 1) * np.array(tiny.spec.std) + np.array(tiny.spec.mean)) * 255
    images = {image.tobytes() for image in tiny.train.images}
    assert all(np.rint(image.numpy()).astype(np.uint8).tobytes() in images for image in pixels)


def test_each_strength_is_a_training_of_its_own_and_the_table_names_it(run_bench, batches, tmp_path):
    stages = {}
    for strength in ("none", "standard", "strong"):
        record = run_bench(methods=("watch",), augment=strength, budget=64)
        stages[strength] = record.tables[0].stages[0].key
        text = markdown(build_report([(tmp_path / "runs", record)]))
        assert (f"augmentation of training images: {strength}" in text) == (strength != "standard")
    assert len(set(stages.values())) == 3

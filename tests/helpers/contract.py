"""A method that keeps the contract, to be broken in one place."""

from __future__ import annotations

import pytest
from pydantic import Field
from torch.nn import functional as F

import harness
from harness.common.errors import PluginError
from harness.contract.options import TRAINING_READS
from harness.networks.learners import ClassifierNetwork
from harness.testing import check_method

# ── a method that keeps it, and what breaks it ────────────────────────────────────────────────────


COSINE_HEAD = harness.Head("cosine")


class Options(harness.TrainingOptions):
    noise: float = Field(0.0, ge=0, description="what it is called")


def build(context):
    return ClassifierNetwork(context)


def cross_entropy(network, batch):
    return {"loss": F.cross_entropy(network(batch.images)[1], batch.labels)}


def fit(context, learner):
    context.trainer.run(learner, cross_entropy, context.options.recipe())


def method(build=build, fit=fit, reads=TRAINING_READS, options=Options, head=COSINE_HEAD, **about):
    stage = harness.Stage("only", build, fit, reads=reads)
    return harness.MethodSpec("mine", "a method", "", options, lambda options: [stage], head=head, **about)


SHORT = {"images": 256, "batch_size": 32}


def refused(spec, **values):
    with pytest.raises(PluginError) as caught:
        check_method(spec, options={**SHORT, **values})
    assert "\n" not in str(caught.value)
    return str(caught.value)

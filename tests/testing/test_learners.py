"""harness/testing: learners that classify themselves."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from harness.common.errors import PluginError
from harness.testing import check_method
from tests.helpers.contract import method

# ── learners that classify themselves ─────────────────────────────────────────────────────────────


class Nearest(torch.nn.Module):
    """Class means of pixels; ``twist`` changes the queries before they are compared."""

    def __init__(self, twist):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(()))
        self.twist = twist

    def predict(self, batch):
        support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
        members = F.one_hot(batch.support_labels, batch.n_way).float().transpose(1, 2)
        means = members @ support / members.sum(dim=2, keepdim=True)
        return -self.scale * torch.cdist(self.twist(query), means)


def episodic(twist=lambda query: query, **about):
    return method(lambda context: Nearest(twist), None, reads=(), head=None, uses_backbone=False, **about)


def test_an_episodic_learner_that_keeps_the_contract_passes():
    check_method(episodic())


def test_an_episodic_learner_may_embed_too():
    class Both(Nearest):
        def embed(self, images):
            raise AssertionError("its method has no head")

    check_method(method(lambda context: Both(lambda query: query), None, reads=(), head=None, uses_backbone=False))


def test_an_episodic_learner_that_sees_other_episodes_is_found():
    with pytest.raises(PluginError, match="an episode alone has other scores"):
        check_method(episodic(lambda query: query - query.mean(dim=(0, 1), keepdim=True)))


def test_an_episodic_learner_that_uses_the_order_of_queries_is_found():
    with pytest.raises(PluginError, match="queries in another order have other scores"):
        check_method(episodic(lambda query: query * torch.linspace(0.5, 1, query.shape[1])[:, None]))


def test_an_episodic_learner_that_sees_all_queries_must_say_so():
    def centred(query):
        return query - query.mean(dim=1, keepdim=True)

    with pytest.raises(PluginError, match="say transductive=True"):
        check_method(episodic(centred))
    check_method(episodic(centred, transductive=True))

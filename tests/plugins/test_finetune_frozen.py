"""plugins/finetune, frozen: given weights are scored as they are, by logistic regression, and its row names them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from harness.common.errors import HarnessError
from harness.contract.episodes import EpisodeSpec
from harness.contract.plan import BenchPlan
from harness.episodes.plan import EpisodePlan
from harness.images.augment import normalise
from harness.networks.backbones.conv4 import Conv4


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(5)
    path = tmp_path / "given.pth"
    torch.save(Conv4(16, 3).state_dict(), path)
    return path


def test_given_weights_are_scored_as_scikit_learn_scores_their_features(run_bench, tiny, weights, tmp_path):
    record = run_bench(methods=("frozen",), weights=str(weights), budget=None, shots=(5,), way=(3,))
    (stage,) = record.tables[0].stages
    assert stage.weights == str(weights)
    assert not stage.floor
    plan = BenchPlan()
    (episodes,) = EpisodePlan((EpisodeSpec(3, 5, 5),), 20, plan.episode_seed, targets=("closed",)).sample(tiny.test)
    network = Conv4(16, 3)
    network.load_state_dict(torch.load(weights))
    mean, std = (torch.tensor(values, dtype=torch.float32) for values in (tiny.spec.mean, tiny.spec.std))
    with torch.inference_mode():
        features = network.eval()(normalise(torch.from_numpy(tiny.test.images), mean, std)).numpy()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    expected = []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        fitted = LogisticRegression(tol=1e-6, max_iter=1000).fit(features[support.ravel()], np.repeat(range(3), 5))
        expected.append((fitted.predict(features[query.ravel()]) == np.repeat(range(3), 5)).mean())
    for path in (tmp_path / "runs" / stage.folder / "scores").glob("*.npz"):
        with np.load(path) as file:
            if json.loads(str(file["about"]))["target"] == "closed":
                np.testing.assert_allclose(file["accuracies"], expected)
                return
    pytest.fail("no closed episodes were scored")


def test_without_weights_one_line_says_what_to_give(run_bench):
    with pytest.raises(HarnessError, match="frozen learns nothing itself, so its backbone must be given weights"):
        run_bench(methods=("frozen",))

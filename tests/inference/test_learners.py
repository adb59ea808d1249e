"""harness/inference/learners.py: a trained stage on new images does what its scores say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import harness
from harness.bench.export import feature_table
from harness.catalogue.catalogue import Catalogue
from harness.cli.arguments import data_root
from harness.contract.data import DataRequest
from harness.contract.episodes import EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.runs import StageFolder, find_bench


@pytest.fixture(scope="module")
def novel():
    """The novel classes of glyphs."""
    spec, _ = Catalogue.discover().dataset("glyphs")
    return spec.open(DataRequest(data_root(None))).test


@pytest.fixture(scope="module")
def episodes(novel):
    """The closed episodes of ``small_runs``."""
    return sample_episodes(novel, EpisodeSpec(5, 2, 4), 12, 0, "closed")


def kept_accuracies(runs: Path, row: str) -> np.ndarray:
    [stage] = [stage for stage in find_bench(runs).tables[0].stages if stage.row == row]
    for key in stage.scores:
        score = StageFolder(runs / stage.folder).load_score(key).score
        if score.target == "closed":
            return score.accuracies
    raise AssertionError(row)


def test_features_are_those_that_an_export_writes(small_runs, novel):
    table = feature_table(
        find_bench(small_runs), Catalogue.discover(), small_runs, data_root(None), "rfs/simple", seed=3
    )
    features = harness.load_learner(small_runs, "rfs/simple").embed(novel.images[:300])
    np.testing.assert_allclose(features, table.embeddings[:300], rtol=1e-5, atol=1e-6)


def test_classes_are_those_that_the_scores_of_the_bench_count(small_runs, novel, episodes):
    learner = harness.load_learner(small_runs, "pixels")
    for episode, expected in enumerate(kept_accuracies(small_runs, "pixels")):
        support = {f"class {way}": novel.images[images] for way, images in enumerate(episodes.support[episode])}
        query = episodes.query[episode].reshape(-1)
        labels = episodes.query_labels[episode].reshape(-1)
        answers = learner.classify(support, novel.images[query])
        assert np.mean(answers["class"] == [f"class {label}" for label in labels]) == pytest.approx(expected)


def test_a_learner_that_predicts_episodes_itself_names_images_better_than_chance(small_runs, novel, episodes):
    learner = harness.load_learner(small_runs, "relation")
    accuracies = []
    for support, query, labels in zip(episodes.support, episodes.query, episodes.query_labels, strict=True):
        examples = {way: novel.images[images] for way, images in enumerate(support)}
        answers = learner.classify(examples, novel.images[query.reshape(-1)])
        accuracies.append(np.mean(answers["class"] == [str(label) for label in labels.reshape(-1)]))
    assert np.mean(accuracies) == pytest.approx(kept_accuracies(small_runs, "relation").mean(), abs=0.15)
    with pytest.raises(harness.HarnessError, match="as many examples of each class"):
        learner.classify({"a": novel.images[:1], "b": novel.images[1:3]}, novel.images[:1])


def test_probabilities_sum_to_one_and_the_highest_names_the_class(small_runs, novel):
    support = {"one": novel.images[:3], "two": novel.images[40:41]}
    answers = harness.classify(small_runs, support, novel.images[:9], "rfs/simple", classifier="nearest-centroid")
    parts = answers[["P(one)", "P(two)"]].to_numpy()
    np.testing.assert_allclose(parts.sum(axis=1), 1)
    assert list(answers["class"]) == [["one", "two"][at] for at in parts.argmax(axis=1)]
    np.testing.assert_allclose(answers.probability, parts.max(axis=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row": "rfs/simpel"}, "Did you mean 'rfs/simple'?"),
        ({}, "which row\\? This bench has rfs/simple, relation"),
        ({"row": "rfs/simple", "seed": 0}, "unknown seed of rfs/simple '0'"),
        ({"row": "rfs/simple", "dataset": "FC100"}, "unknown dataset of this bench 'FC100'"),
        ({"row": "rfs/simple", "bench": "none"}, "no bench 'none'"),
    ],
)
def test_what_the_run_folder_does_not_hold_is_told(small_runs, arguments, message):
    with pytest.raises(harness.HarnessError, match=message):
        harness.load_learner(small_runs, **arguments)

"""harness/runs: predictions beside the accuracies that they came with, and episodes drawn again without images."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from harness.common.errors import RunsError
from harness.contract.episodes import EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.runs import StageFolder, draw_again, load_split, save_split
from harness.runs.splits import split_file


def folders(record, runs):
    return [(StageFolder(runs / stage.folder), stage.scores) for stage in record.tables[0].stages]


def test_a_bench_keeps_them_and_without_the_images_its_episodes_are_drawn_again(run_bench, tmp_path, tiny):
    record = run_bench(methods=("pixels",))
    table = record.tables[0]
    split = load_split(tmp_path / "runs", table.split_fingerprint)
    assert split is not None
    assert split.class_names == tiny.test.class_names
    for folder, keys in folders(record, tmp_path / "runs"):
        for key, about in zip(keys, table.episodes, strict=True):
            kept = folder.load_score(key)
            predicted = folder.load_predictions(key, kept.score)
            episodes = draw_again(split, about, record.plan.episode_seed)
            assert episodes is not None
            expected = sample_episodes(tiny.test, about.spec, about.n, 0, about.target)
            np.testing.assert_array_equal(episodes.query, expected.query)
            np.testing.assert_array_equal(episodes.support, expected.support)
            right = (predicted == episodes.query_labels).mean(axis=1)
            np.testing.assert_allclose(right, kept.score.accuracies, atol=1e-9)


def test_without_them_nothing_is_kept_and_the_bench_is_the_same(run_bench, tmp_path):
    first = run_bench(methods=("pixels",), predictions=False)
    assert not list((tmp_path / "runs").glob("stages/*/*/predictions"))
    second = run_bench(methods=("pixels",))
    assert first.id == second.id
    assert [stage.scores for stage in first.tables[0].stages] == [stage.scores for stage in second.tables[0].stages]
    n_scores = len(list((tmp_path / "runs").glob("stages/*/*/scores/*.npz")))
    assert len(list((tmp_path / "runs").glob("stages/*/*/predictions/*.npz"))) == n_scores > 0


def test_evaluate_adds_them_to_a_run_of_before_without_changing_a_number(run_bench, tmp_path):
    from harness.bench.bench import bench
    from harness.catalogue.catalogue import Catalogue
    from harness.execution.factory import make_executor
    from tests.conftest import TinyPlugin

    record = run_bench(methods=("pixels",))
    runs = tmp_path / "runs"
    before = {path: np.load(path)["accuracies"] for path in runs.glob("stages/*/*/scores/*.npz")}
    for path in (runs / "splits", *runs.glob("stages/*/*/predictions")):
        shutil.rmtree(path)
    catalogue = Catalogue.discover()
    catalogue.add("tiny-plugin", TinyPlugin())
    bench(record.plan, catalogue, make_executor("inline", catalogue), runs, tmp_path, earlier=record)
    for path, accuracies in before.items():
        np.testing.assert_array_equal(np.load(path)["accuracies"], accuracies)
        assert (path.parent.parent / "predictions" / path.name).is_file()


def test_those_of_another_scoring_are_not_taken(run_bench, tmp_path):
    folder, keys = folders(run_bench(methods=("pixels",)), tmp_path / "runs")[0]
    score = folder.load_score(keys[0]).score
    assert folder.load_predictions(keys[0], score) is not None
    shutil.copy(folder.predictions_file(keys[1]), folder.predictions_file(keys[0]))
    assert folder.load_predictions(keys[0], score) is None
    score.accuracies[0] += 0.1
    assert not folder.has_score("0" * 64, predictions=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_damaged_file_is_told_in_one_line(run_bench, tmp_path, content):
    folder, keys = folders(run_bench(methods=("pixels",)), tmp_path / "runs")[0]
    folder.predictions_file(keys[0]).write_bytes(content)
    with pytest.raises(RunsError, match=r"cannot be read.*Delete it to score again") as error:
        folder.load_predictions(keys[0], folder.load_score(keys[0]).score)
    assert "\n" not in str(error.value)


def test_pickles_are_not_loaded(run_bench, tmp_path):
    folder, keys = folders(run_bench(methods=("pixels",)), tmp_path / "runs")[0]
    path = folder.predictions_file(keys[0])
    about = np.load(path)["about"]
    with path.open("wb") as file:
        np.savez(file, predicted=np.array([{"a": 1}], dtype=object), about=about)
    with pytest.raises(RunsError, match="cannot be read"):
        folder.load_predictions(keys[0], folder.load_score(keys[0]).score)


def test_episodes_that_are_others_are_not_drawn(tmp_path, tiny):
    from harness.bench.table import episodes_record

    episodes = sample_episodes(tiny.test, EpisodeSpec(3, 1, 2), 5, seed=0)
    save_split(tmp_path, "tiny", tiny.test)
    split = load_split(tmp_path, tiny.test.fingerprint)
    assert draw_again(split, episodes_record(episodes), seed=0) is not None
    assert draw_again(split, episodes_record(episodes), seed=1) is None
    assert load_split(tmp_path, "another") is None
    assert load_split(tmp_path, None) is None
    assert split_file(tmp_path, tiny.test.fingerprint).stat().st_size < 2_000

"""Episodes whose way and shot are drawn anew: the same for all methods, scored shape by shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.bench.plan import validated
from harness.common.errors import HarnessError
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import Head
from harness.episodes.plan import EpisodePlan
from harness.episodes.sampler import sample_episodes
from tests.helpers.scoring import CLASSIFIERS, SPLIT, Pixels, evaluate

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract.learners import EpisodeBatch

VARIED = EpisodeSpec(8, 6, 5, least_way=3, least_shot=2)


def sample(n: int = 200, spec: EpisodeSpec = VARIED, seed: int = 0) -> Episodes:
    return sample_episodes(SPLIT, spec, n, seed)


def test_every_way_and_shot_comes_about_equally_often() -> None:
    shapes = sample(4_000).shapes
    for column, values in enumerate((range(3, 9), range(2, 7))):
        found, counts = np.unique(shapes[:, column], return_counts=True)
        assert found.tolist() == list(values)
        expected = 4_000 / len(values)
        assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_parts_hold_every_episode_once_with_its_own_way_and_shot() -> None:
    episodes = sample()
    seen = []
    for which, part in episodes.parts():
        shape = (part.spec.n_way, part.spec.k_shot)
        assert (episodes.shapes[which] == shape).all()
        assert part.support.shape == (len(which), *shape)
        assert part.query.shape == (len(which), part.spec.n_way, 5)
        assert (SPLIT.labels[part.support] == part.classes[..., None]).all()
        assert (SPLIT.labels[part.query] == part.classes[..., None]).all()
        images = np.concatenate([part.support.reshape(len(which), -1), part.query.reshape(len(which), -1)], axis=1)
        assert all(len(set(row)) == len(row) for row in images.tolist())
        seen += which.tolist()
    assert sorted(seen) == list(range(len(episodes)))


def test_a_longer_run_keeps_the_earlier_episodes_and_another_seed_draws_others() -> None:
    short, long = sample(50), sample(200)
    assert (long.shapes[:50] == short.shapes).all()
    assert (long.support[:50] == short.support).all()
    assert (sample(50, seed=1).shapes != short.shapes).any()
    assert len({short.fingerprint, long.fingerprint, sample(50, seed=1).fingerprint}) == 3


def test_episodes_of_one_shape_keep_their_fingerprint() -> None:
    """It is in every record: what it was before episodes could vary."""
    assert repr(EpisodeSpec(5, 1, 15)) == "EpisodeSpec(n_way=5, k_shot=1, n_query=15, dirichlet=0.0)"


def test_accuracies_are_those_of_each_episode_scored_alone() -> None:
    episodes = sample(60)
    (score,) = evaluate(Pixels(), SPLIT, [episodes], Head("nearest-centroid"))
    alone = np.empty(60)
    for which, part in episodes.parts():
        for place, number in enumerate(which):
            support, query = (SPLIT.images[images[place]] / 255.0 for images in (part.support, part.query))
            means = support.reshape(*support.shape[:2], -1).mean(axis=1)  # (way, D)
            queries = query.reshape(-1, means.shape[1])
            distances = ((queries[:, None] - means) ** 2).sum(axis=2)
            alone[number] = (distances.argmin(axis=1) == np.repeat(np.arange(len(means)), 5)).mean()
    assert score.accuracies == pytest.approx(alone, abs=1e-12)
    assert score.episodes == VARIED


def test_a_learner_that_adapts_meets_one_shape_at_a_time() -> None:
    class Episodic:
        def __init__(self) -> None:
            self.shapes: list[tuple[int, int]] = []

        def predict(self, batch: EpisodeBatch) -> Tensor:
            self.shapes.append((batch.n_way, batch.support.shape[1] // batch.n_way))
            support, query = (images.flatten(2).float() / 255 for images in (batch.support, batch.query))
            return CLASSIFIERS["nearest-centroid"](support, batch.support_labels, query, batch.n_way)

    learner, episodes = Episodic(), sample(60)
    (own,) = evaluate(learner, SPLIT, [episodes], None)
    (head,) = evaluate(Pixels(), SPLIT, [episodes], Head("nearest-centroid"))
    assert own.accuracies == pytest.approx(head.accuracies, abs=1e-9)
    assert sorted(set(learner.shapes)) == sorted({tuple(shape) for shape in episodes.shapes.tolist()})


def test_chance_is_the_mean_over_the_ways() -> None:
    assert EpisodeSpec(5).chance == 0.2
    assert VARIED.chance == pytest.approx(np.mean([1 / way for way in range(3, 9)]))
    assert str(VARIED) == "3..8-way 2..6-shot"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (EpisodeSpec(8, 6, 5, least_way=1, least_shot=2), "the lowest n_way is 1; it must be at least 2"),
        (EpisodeSpec(3, 6, 5, least_way=4, least_shot=2), "the lowest way and shot are at most the highest"),
        (EpisodeSpec(8, 6, 5, 2.0, 3, 2), "have balanced queries"),
        (EpisodeSpec(13, 6, 5, least_way=3, least_shot=2), "needs 13 classes"),
    ],
)
def test_bounds_that_no_episode_keeps_are_refused(spec: EpisodeSpec, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        sample(5, spec)


def test_they_have_open_episodes_as_others_do_and_no_unbalanced_ones() -> None:
    plan = EpisodePlan((VARIED, EpisodeSpec(4, 1, 5)), 20, 0).with_unbalanced()
    sampled = [(str(episodes.spec), episodes.target) for episodes in plan.sample(SPLIT)]
    specs = ("3..8-way 2..6-shot", "4-way 1-shot", "4-way 1-shot, Dirichlet(2) queries")
    assert sampled == [(spec, target) for target in ("closed", "open") for spec in specs]


def test_a_bench_compares_rows_on_their_open_episodes(run_bench, tmp_path) -> None:
    from harness.reports.build import build_report
    from harness.reports.formats.markdown import markdown

    record = run_bench(varied="2..4,1..3", floors=True, baseline="rfs", set={"rfs.generations": 0})
    assert not [stage.failure for stage in record.tables[0].stages if stage.failure]
    report = build_report([(tmp_path / "runs", record)])
    assert "| 2..4-way 1..3-shot |" in markdown(report)
    (pixels,) = (row for row in report.tables[0].rows if row.name == "pixels")
    (cell,) = pixels.cells.values()
    assert set(cell.intervals) == {"closed", "open", "class"}
    assert cell.compared.found.target == "open"
    with pytest.raises(HarnessError, match="say the bounds of way and shot"):
        run_bench(varied="5,1")
    with pytest.raises(HarnessError, match="drop --way and --shots"):
        validated({"varied": "2..4,1..3", "shots": (1,)})

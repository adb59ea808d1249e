"""The sampler against its promises, and against a plain Fisher-Yates shuffle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.errors import HarnessError
from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.episodes.sampler import _distinct, sample_episodes


def make_split(sizes: list[int], seed: int = 0, fingerprint: str = "data") -> Split:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return Split("test", images, labels, tuple(f"class {c}" for c in range(len(sizes))), fingerprint)


SPLIT = make_split([30] * 24)


def arrays(episodes: Episodes, n: int | None = None) -> tuple[list[int], ...]:
    return tuple(array[:n].tolist() for array in (episodes.classes, episodes.support, episodes.query))


def images_of(episodes: Episodes) -> np.ndarray:
    n = len(episodes)
    return np.concatenate([episodes.support.reshape(n, -1), episodes.query.reshape(n, -1)], axis=1)


@pytest.mark.parametrize("target", ["closed", "open"])
@pytest.mark.parametrize("dirichlet", [0.0, 0.5, 2.0])
def test_episodes_hold_distinct_images_of_distinct_classes(target: str, dirichlet: float) -> None:
    split = make_split([9, 40, 12, 25, 9, 60, 31])
    episodes = sample_episodes(split, EpisodeSpec(3, 2, 4, dirichlet), 200, 0, target)
    for classes, support, query, labels in zip(
        episodes.classes,
        episodes.support,
        episodes.query.reshape(len(episodes), -1),
        episodes.query_labels,
        strict=True,
    ):
        assert len(set(classes)) == 3
        assert (split.labels[support] == classes[:, None]).all()
        assert (split.labels[query] == classes[labels]).all()
        assert len({*support.reshape(-1), *query}) == 3 * 2 + 3 * 4


def test_longer_closed_run_keeps_the_earlier_episodes() -> None:
    for spec in (EpisodeSpec(5, 1, 5), EpisodeSpec(5, 1, 5, dirichlet=1.0)):
        assert arrays(sample_episodes(SPLIT, spec, 7, 3)) == arrays(sample_episodes(SPLIT, spec, 300, 3), 7)


def test_longer_open_run_keeps_the_earlier_episodes() -> None:
    short, long = (sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), n, 3, "open") for n in (7, 300))
    assert arrays(short) == arrays(long, 7)


def test_shots_are_nested_and_share_queries() -> None:
    runs = {k: sample_episodes(SPLIT, EpisodeSpec(5, k, 6), 50, 1) for k in (1, 5, 10)}
    for k, episodes in runs.items():
        assert (episodes.classes == runs[10].classes).all()
        assert (episodes.query == runs[10].query).all()
        assert (episodes.support == runs[10].support[:, :, :k]).all()


def test_fewer_classes_are_the_first_of_more() -> None:
    five, twenty = (sample_episodes(SPLIT, EpisodeSpec(n_way, 2, 6), 50, 1) for n_way in (5, 20))
    assert (five.classes == twenty.classes[:, :5]).all()
    assert (five.query == twenty.query[:, :5]).all()


def test_open_episodes_use_no_image_twice_and_all_classes_alike() -> None:
    episodes = sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 10**6, 0, "open")
    images = images_of(episodes).reshape(-1)
    assert len(set(images.tolist())) == len(images)
    uses = np.bincount(episodes.classes.reshape(-1))
    assert len(episodes) == 24  # 24 classes × (30 // 6) uses / 5-way
    assert uses.max() - uses.min() <= 1
    assert len(sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 4, 0, "open")) == 4


def test_open_episodes_stop_when_too_few_classes_have_images_left() -> None:
    episodes = sample_episodes(make_split([8, 80, 80]), EpisodeSpec(3, 1, 3), 100, 0, "open")
    assert len(episodes) == 2


def test_same_seed_same_episodes_and_any_change_another_fingerprint() -> None:
    first = sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 20, 0)
    assert arrays(first) == arrays(again := sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 20, 0))
    assert first.fingerprint == again.fingerprint
    others = [
        sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 20, 1),
        sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 19, 0),
        sample_episodes(SPLIT, EpisodeSpec(5, 1, 5), 20, 0, "open"),
        sample_episodes(SPLIT, EpisodeSpec(5, 2, 5), 20, 0),
        sample_episodes(make_split([30] * 24, fingerprint="other data"), EpisodeSpec(5, 1, 5), 20, 0),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_episodes_of_a_seed_are_the_same_on_every_machine() -> None:
    episodes = sample_episodes(make_split([10] * 6), EpisodeSpec(3, 1, 2), 4, 0)
    assert episodes.classes.tolist() == [[4, 0, 5], [1, 5, 4], [4, 5, 3], [2, 5, 0]]
    assert episodes.support[0].reshape(-1).tolist() == [44, 47, 8]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.data())
def test_draws_are_those_of_a_plain_fisher_yates_shuffle(size: int, data: st.DataObject) -> None:
    uniforms = data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=size))
    deck, expected = list(range(size)), []
    for j, uniform in enumerate(uniforms):
        chosen = j + int(uniform * (size - j))
        deck[j], deck[chosen] = deck[chosen], deck[j]
        expected.append(deck[j])
    drawn = _distinct([np.array([uniform]) for uniform in uniforms], np.array([size]))
    assert drawn.tolist() == [expected]


def test_images_of_a_class_are_equally_likely() -> None:
    from scipy import stats

    episodes = sample_episodes(make_split([7, 11, 6]), EpisodeSpec(2, 2, 3), 4_000, 5)
    labels = make_split([7, 11, 6]).labels
    for array in (episodes.support, episodes.query):
        counts = np.bincount(array.reshape(-1), minlength=len(labels))
        assert stats.chisquare(np.bincount(episodes.classes.reshape(-1))).pvalue > 1e-4
        for c in range(3):
            assert stats.chisquare(counts[labels == c]).pvalue > 1e-4


def test_dirichlet_queries_are_unbalanced_as_the_concentration_says() -> None:
    split = make_split([120] * 8)
    variances = []
    for dirichlet in (0.5, 2.0, 50.0):
        counts = sample_episodes(split, EpisodeSpec(5, 1, 15, dirichlet), 3_000, 0).query_counts
        assert counts is not None
        assert (counts.sum(axis=1) == 75).all()
        assert np.abs(counts.mean(axis=0) - 15).max() < 1
        variances.append(counts.var())
        shares = 0.2 * 0.8 / (5 * dirichlet + 1) * 75**2  # of a Dirichlet distribution
        assert variances[-1] == pytest.approx(shares, rel=0.1, abs=0.5)


def test_dirichlet_queries_fit_into_small_classes() -> None:
    episodes = sample_episodes(make_split([6, 6, 6, 50]), EpisodeSpec(3, 1, 5, dirichlet=0.1), 300, 0)
    assert episodes.query_counts is not None
    assert episodes.query_counts.max() == 5


@pytest.mark.parametrize(
    ("spec", "n_episodes", "message"),
    [
        (EpisodeSpec(25, 1, 5), 1, r"5 classes, but the test split has 24: lower n_way \(--way\) to 24"),
        (EpisodeSpec(5, 5, 26), 1, r"needs 31 images a class, but class 'class 0' of the test split has 30: lower"),
        (EpisodeSpec(1, 1, 5), 1, "n_way is 1"),
        (EpisodeSpec(5, 0, 5), 1, "k_shot is 0"),
        (EpisodeSpec(5, 1, 0), 1, "n_query is 0"),
        (EpisodeSpec(5, 1, 5), 0, "n_episodes is 0"),
        (EpisodeSpec(5, 1, 5, dirichlet=-1.0), 1, "dirichlet is -1"),
        (EpisodeSpec(5, 1, 5, dirichlet=float("nan")), 1, "dirichlet is nan"),
    ],
)
def test_impossible_episodes_are_refused_in_one_line(spec: EpisodeSpec, n_episodes: int, message: str) -> None:
    with pytest.raises(HarnessError, match=message) as caught:
        sample_episodes(SPLIT, spec, n_episodes, 0)
    assert "\n" not in str(caught.value)

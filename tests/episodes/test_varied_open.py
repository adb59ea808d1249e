"""Open episodes whose way and shot are drawn anew: no image twice, and what may be said of a mean over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.contract.data import Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.episodes.sampler import sample_episodes
from harness.statistics.comparison import compare

VARIED = EpisodeSpec(8, 6, 5, least_way=3, least_shot=2)
N_CLASSES, PER_CLASS = 12, 200
LABELS = np.repeat(np.arange(N_CLASSES), PER_CLASS)
SPLIT = Split("test", np.empty((len(LABELS), 0)), LABELS, tuple(map(str, range(N_CLASSES))), "simulated")


def sample(n: int = 10_000, seed: int = 0, split: Split = SPLIT, spec: EpisodeSpec = VARIED) -> Episodes:
    return sample_episodes(split, spec, n, seed, "open")


def test_no_image_comes_twice_and_every_image_is_of_its_class() -> None:
    episodes = sample()
    shown = []
    for which, part in episodes.parts():
        assert (episodes.shapes[which] == (part.spec.n_way, part.spec.k_shot)).all()
        for images in (part.support, part.query):
            assert (LABELS[images] == part.classes[..., None]).all()
            shown += images.ravel().tolist()
    assert len(set(shown)) == len(shown)
    way, shot = episodes.shapes.T
    assert len(shown) == (way * (shot + 5)).sum()


def test_they_have_the_shapes_of_the_closed_ones_as_long_as_images_last() -> None:
    episodes, closed = sample(), sample_episodes(SPLIT, VARIED, 200, 0, "closed")
    assert 20 < len(episodes) < 200
    assert (episodes.shapes == closed.shapes[: len(episodes)]).all()
    way, shot = closed.shapes[len(episodes)]  # the first that does not fit
    _, used = np.unique(episodes.classes[episodes.classes >= 0], return_counts=True)
    spent = np.zeros(N_CLASSES, int)
    for classes, (_, shots) in zip(episodes.classes, episodes.shapes, strict=True):
        spent[classes[classes >= 0]] += shots + 5
    assert (PER_CLASS - spent >= shot + 5).sum() < way
    assert used.max() - used.min() <= 2  # classes come about equally often


def test_a_shorter_run_has_the_first_of_a_longer_one() -> None:
    short, long = sample(10), sample()
    assert len(short) == 10
    for name in ("classes", "support", "query", "shapes"):
        assert (getattr(short, name) == getattr(long, name)[:10]).all()


def test_with_one_way_and_shot_they_are_the_open_episodes_of_that_shape() -> None:
    fixed = EpisodeSpec(5, 3, 5)
    drawn = sample(30, spec=replace(fixed, least_way=5, least_shot=3))
    ordinary = sample(30, spec=fixed)
    for name in ("classes", "support", "query"):
        assert (getattr(drawn, name) == getattr(ordinary, name)).all()


def test_every_episode_weighs_the_same_and_so_does_every_class() -> None:
    """Differences that are class effects but for noise: least squares by hand, with an episode's classes averaged."""
    episodes = sample()
    rng = np.random.default_rng(3)
    effects = rng.normal(0, 0.1, N_CLASSES)
    has = np.array([np.isin(np.arange(N_CLASSES), row) for row in episodes.classes])
    design = has / has.sum(axis=1, keepdims=True)
    values = 0.02 + design @ effects + rng.normal(0, 0.01, len(has))
    result = compare(0.5 + values, np.full(len(has), 0.5), episodes.classes, N_CLASSES, "open")
    fitted = np.linalg.lstsq(design, values, rcond=None)[0]
    df = len(has) - N_CLASSES
    variances = np.linalg.inv(design.T @ design) * ((values - design @ fitted) ** 2).sum() / df
    assert result.difference.mean == pytest.approx(fitted.mean())
    assert result.difference.df == df
    assert result.difference.standard_error == pytest.approx(np.sqrt(variances.sum()) / N_CLASSES)
    assert result.new_classes.standard_error > 3 * result.difference.standard_error

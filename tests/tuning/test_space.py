"""harness/tuning/space.py: where a search looks, and which values it proposes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.common.errors import HarnessError
from harness.tuning.space import Choices, Range, as_space, propose


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("0.025..0.5", float, Range(0.025, 0.5)),
        ("1e-4..1e-1", float, Range(1e-4, 1e-1)),
        ("1..4", float, Range(1, 4)),
        ("1..4", int, Range(1, 4, whole=True)),
        ("1..4", int | None, Range(1, 4, whole=True)),
        ([1, 2, 4], float, Choices((1, 2, 4))),
        (["l2", "simclr"], str, Choices(("l2", "simclr"))),
        ([45, 60], tuple[int, ...], None),  # one value of an option that holds several
        ([[45], [30, 60]], tuple[int, ...], Choices(([45], [30, 60]))),
        (2, float, None),
        ("l2", str, None),
        ("a..b", str, None),
    ],
)
def test_a_setting_is_a_range_a_list_or_one_value(value, annotation, expected):
    assert as_space("skd.beta", value, annotation) == expected


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("4..1", float),
        ("1..1", float),
        ("0.5..4", int),
        ("1..inf", float),
        ("0.1..", float),
        ("a..b", int),
        ("1..4", str),
        ([1, 1], float),
        ([1], float),
    ],
)
def test_a_space_that_is_none_is_refused(value, annotation):
    with pytest.raises(HarnessError, match=r"--set skd.beta="):
        as_space("skd.beta", value, annotation)


def test_a_range_of_a_tenfold_or_more_is_searched_by_its_logarithm():
    assert Range(0.025, 0.5).log
    assert Range(1, 10, whole=True).log
    assert not Range(0.1, 0.9).log
    assert not Range(0, 100).log
    pytest.importorskip("optuna")
    low = sum(propose({"x": Range(0.001, 1000.0)}, [], seed)["x"] < 1 for seed in range(60))
    assert 15 < low < 45  # by halves; evenly on a linear scale it would be 0


def test_proposals_repeat_and_lie_in_the_space_and_are_short():
    pytest.importorskip("optuna")
    space = {"x": Range(0.025, 0.5), "n": Range(2, 5, whole=True), "kind": Choices(("a", None, [1, 2]))}
    tried = []
    for _ in range(12):
        values = propose(space, tried, 3)
        assert values == propose(space, tried, 3)
        assert all(values[name] in space[name] for name in space)
        assert isinstance(values["n"], int)
        assert len(repr(values["x"])) <= 7
        tried.append((values, values["x"]))
    assert propose(space, tried, 4) != propose(space, tried, 3)


def test_a_finite_space_is_searched_whole_and_nothing_twice():
    pytest.importorskip("optuna")
    space = {"n": Range(1, 3, whole=True), "kind": Choices(("a", "b"))}
    tried = []
    while (values := propose(space, tried, 0)) is not None:
        tried.append((values, 0.5 if values["kind"] == "a" else None))
    assert len({json.dumps(values) for values, _ in tried}) == len(tried) == 6


def test_values_proposed_together_differ_and_keep_away_from_each_other():
    pytest.importorskip("optuna")
    space = {"x": Range(0.0, 1.0)}
    tried = [({"x": x / 10}, -((x / 10 - 0.7) ** 2)) for x in range(11)]
    pending = []
    for _ in range(8):
        pending.append(propose(space, tried, 0, pending))
    assert len({values["x"] for values in pending}) == 8
    alone = [propose(space, tried, seed)["x"] for seed in range(8)]
    assert np.std([values["x"] for values in pending]) > np.std(alone)
    assert propose({"x": Choices((1, 2))}, [({"x": 1}, 0.5)], 0, [{"x": 2}]) is None


def test_a_long_list_is_searched_to_its_last_value():
    pytest.importorskip("optuna")
    tried = [({"x": x}, 0.5) for x in range(299)]
    assert propose({"x": Choices(tuple(range(300)))}, tried, 0) == {"x": 299}


def test_a_narrow_range_ends_when_its_values_are_tried():
    pytest.importorskip("optuna")
    space, tried = {"x": Range(1.0, 1.001)}, []  # 1.0 and 1.001 at four digits
    while (values := propose(space, tried, 0)) is not None:
        tried.append((values, 0.5))
    assert sorted(values["x"] for values, _ in tried) == [1.0, 1.001]


def test_the_search_learns_where_it_is_high():
    pytest.importorskip("optuna")
    tried = []
    for _ in range(25):
        values = propose({"x": Range(0.0, 1.0)}, tried, 0)
        tried.append((values, -((values["x"] - 0.7) ** 2)))
    late = [abs(values["x"] - 0.7) for values, _ in tried[10:]]
    assert sum(late) / len(late) < 0.2  # 0.29 by chance

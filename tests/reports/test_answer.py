"""harness/reports/answer.py: who wins, by how much, how sure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.reports.answer import about, contestants, leads, listed, sentences
from tests.helpers.reports import SPECS, closed


def said(bench, **about_report):
    table = bench.report(**about_report).tables[0]
    return [sentence.replace("\u00a0", " ") for sentence in sentences(table, leads(table))]


def test_a_row_that_is_apart_from_all_others_wins(runs):
    bench = runs().add("a/x", 0.9).add("b/x", 0.5).add("c/x", 0.3)
    first, second = said(bench)
    assert first.startswith("a/x wins 5-way 1-shot by ")
    assert "points over b/x, the next best (p < 0.001)" in first
    assert second.startswith("a/x wins 5-way 5-shot by ")


def test_rows_that_cannot_be_told_apart_have_no_winner(runs):
    bench = runs().add("a/x", 0.51).add("bb/x", 0.5).add("ccc/x", 0.2)
    for sentence in said(bench):
        assert sentence.startswith("No winner in 5-way ")
        assert "ccc/x" not in sentence


def test_the_difference_is_of_the_same_open_episodes_and_p_is_adjusted_for_all_pairs(runs):
    bench = runs(specs=SPECS[:1], n_classes=5).add("a/x", 0.6).add("bb/x", 0.57).add("ccc/x", 0.3)
    (lead,) = leads(bench.report().tables[0])
    a, b = (closed(bench, name, target="open") for name in ("a/x", "bb/x"))
    nearest = lead.behind[0]
    assert (lead.highest, nearest.name, lead.n_tests) == ("a/x", "bb/x", 3)
    assert nearest.difference.mean == pytest.approx(float(np.mean(a - b)))
    assert nearest.p == pytest.approx(min(1, stats.ttest_rel(a, b).pvalue), rel=1e-6)  # the two others are smaller


def test_floors_do_not_take_part_where_anything_else_was_measured(runs):
    bench = runs().add("pixels", 0.9, floor=True).add("a/x", 0.5).add("bb/x", 0.1)
    assert [lead.highest for lead in leads(bench.report().tables[0])] == ["a/x", "a/x"]
    only_floors = runs().add("pixels", 0.9, floor=True).add("untrained", 0.3, floor=True)
    assert leads(only_floors.report().tables[0])[0].highest == "pixels"


def test_a_row_under_two_names_is_not_its_own_rival(runs):
    bench = runs().add("a/x", 0.9).add("bb/x", 0.3)
    first = bench.stages[0]
    bench.stages.insert(1, first.model_copy(update={"label": "same", "row": "same/x"}))
    rows = bench.report().tables[0].rows
    assert [row.name for row in rows] == ["a/x", "same/x", "bb/x"]
    assert [row.name for row in contestants(rows)] == ["a/x", "bb/x"]
    assert said(bench)[0].startswith("a/x wins ")


def test_few_seeds_are_about_weights_and_three_about_methods(runs):
    one, three = (runs(seeds=seeds).add("a/x", 0.9).add("b/x") for seeds in ((0,), (0, 1, 2)))
    assert about(leads(one.report().tables[0])).endswith(
        "1 training seed: it is about these weights, not about the methods."
    )
    assert "3 training seeds: it is about these methods" in about(leads(three.report().tables[0]))


def test_without_open_episodes_nothing_is_proved(runs):
    few = runs(specs=SPECS[1:], n_classes=5, n_images=12).add("a/x", 0.9).add("b/x", 0.1)
    (sentence,) = said(few)
    assert sentence.startswith("a/x has the highest mean in ")
    assert "nothing is proved" in sentence


def test_a_long_list_of_names_is_counted():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b and 3 others"

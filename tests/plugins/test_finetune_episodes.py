"""plugins/finetune, what is said of training episodes before the first, and on which ones an epoch is chosen."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from harness_finetune.episodes import selected_on
from harness_finetune.feat import FEAT
from harness_finetune.meta_baseline import META_BASELINE

import harness


@pytest.mark.parametrize("method", [FEAT, META_BASELINE], ids=lambda method: method.name)
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"train_way": 8, "train_shot": 4, "train_query": 20}, None),  # as many as there are
        ({"train_way": 9}, "train_way = 9 classes, but there are 8 base classes: --set LABEL.train_way=8"),
        ({"train_shot": 5, "train_query": 20}, r"5 \+ 20 images of a class, but a base class has 24: .*train_query=19"),
        ({"train_shot": 30}, "has 24: --set LABEL.train_shot=23 --set LABEL.train_query=1"),
    ],
)
def test_episodes_that_do_not_fit_the_base_classes_are_told_with_a_value_that_would(tiny, method, values, complaint):
    found = method.check(method.options(**values), tiny)
    assert found is None if complaint is None else re.search(complaint, found)


def test_without_base_classes_nothing_is_said(tiny):
    assert FEAT.check(FEAT.options(train_way=9), replace(tiny, train=None)) is None


def test_an_epoch_is_chosen_on_episodes_of_the_shape_asked_for():
    chosen = META_BASELINE.options(train_shot=5, patience=3).recipe("meta_", batches=harness.ShuffledBatches())
    assert selected_on(chosen, k_shot=5).selection == harness.Selection(k_shot=5, patience=3)
    assert selected_on(FEAT.options().recipe(), n_way=16).selection is None

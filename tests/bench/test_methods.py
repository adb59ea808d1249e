"""Which methods a bench compares."""

from __future__ import annotations

import pytest

from harness.bench.entries import entries
from harness.common.errors import HarnessError
from harness.contract.methods import MethodSpec, Stage
from harness.contract.options import MethodOptions
from harness.contract.plan import BenchPlan
from tests.helpers.plugins import offering


def nothing(name):
    return MethodSpec(name, "it trains nothing", "", MethodOptions, lambda options: [Stage(name, lambda context: None)])


def labels(catalogue, *methods, **values):
    plan = BenchPlan(methods=methods, floors=False, **values)
    return [entry.label for entry in entries(plan, "tiny", catalogue)]


@pytest.mark.learn2learn
def test_without_methods_a_bench_has_the_three_default_ones_whatever_else_is_installed(catalogue):
    catalogue.add("mine", offering(harness_methods=[nothing("another")]))
    assert labels(catalogue) == ["protonet", "rfs", "skd"]


def test_where_no_default_method_is_installed_a_bench_has_all(catalogue):
    for name in [name for name, method in catalogue.methods.items() if not method.floor]:
        del catalogue.methods[name]
    catalogue.add("mine", offering(harness_methods=[nothing("b"), nothing("a")]))
    assert labels(catalogue) == ["a", "b"]


def test_all_is_every_installed_method_once_where_it_stands(catalogue):
    catalogue.add("mine", offering(harness_methods=[nothing("aaa")]))
    trained = [m for m in catalogue.methods.values() if not (m.floor or m.stored or m.needs_weights)]
    every = sorted(method.name for method in trained)
    assert labels(catalogue, "all") == every
    assert labels(catalogue, "rfs:paper", "all") == ["rfs", *(name for name in every if name != "rfs")]
    assert labels(catalogue, "all", "second=rfs") == [*every, "second"]
    with pytest.raises(HarnessError, match="two methods are labelled 'rfs'"):
        labels(catalogue, "all", "rfs", "rfs")

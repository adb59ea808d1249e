"""plugins/graph: its methods learn, and say what they cannot do. tests/testing checks that they keep the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.common.errors import HarnessError
from harness.contract.learners import EpisodeBatch
from tests.helpers.fitting import accuracy_on_base, built, fitted, noise

harness_graph = pytest.importorskip("harness_graph", reason="harness-graph is not installed")
learner = pytest.importorskip("harness_graph.learner")
METHODS = {spec.name: spec for spec in harness_graph.harness_methods()}
SMALL = {"node_features": 32, "width": 16, "episodes": 4}


@pytest.mark.parametrize("name", METHODS)
def test_it_learns_to_compare(plain, name):
    """On pixels that are pooled and not learned: what is learned is the graph."""
    values = {"train_way": 4, "schedule": "constant", "learning_rate": 1e-2, "episodes": 10}
    small = {"node_features": 32, "width": 32, "backbone": "pooled"}
    made = fitted(METHODS[name], plain, epochs=1, steps_per_epoch=80, **small, **values)
    assert accuracy_on_base(made.network, plain) > 0.9  # chance: 0.25


@pytest.mark.parametrize("name", ["egnn", "egnn-transductive"])
def test_it_learns_classes_that_have_nothing_in_common(plain, name):
    """With the backbone, which alone can tell them apart."""
    data = noise(plain)
    values = {"train_way": 4, "train_query": 2, "schedule": "constant", "learning_rate": 3e-3, "episodes": 4}
    made = fitted(METHODS[name], data, epochs=1, steps_per_epoch=50, **values)
    assert accuracy_on_base(made.network, data) > 0.8  # chance: 0.25


def test_only_what_sees_all_queries_is_transductive():
    assert [name for name, spec in METHODS.items() if spec.transductive] == ["gnn-transductive", "egnn-transductive"]


@pytest.mark.parametrize("name", METHODS)
def test_a_graph_has_one_query_or_all(plain, name):
    network, _ = built(METHODS[name], plain, **SMALL)
    support, query = torch.randn(2, 5, 3), torch.randn(2, 4, 3)
    labels = torch.tensor([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    nodes, of_graphs = network.graphs(support, labels, query)
    if METHODS[name].transductive:
        assert torch.equal(nodes, torch.cat([support, query], dim=1))
        assert torch.equal(of_graphs, labels)
        return
    assert nodes.shape == (8, 6, 3)
    for e in range(2):
        for q in range(4):
            assert torch.equal(nodes[4 * e + q], torch.cat([support[e], query[e, q : q + 1]]))
            assert torch.equal(of_graphs[4 * e + q], labels[e])


def episodes(rng, n_way):
    support, query = (torch.from_numpy(rng.integers(0, 256, (3, n, 16, 16, 3), dtype=np.uint8)) for n in (2 * n_way, 6))
    return EpisodeBatch(support, torch.arange(n_way).repeat_interleave(2).expand(3, -1), query, n_way)


@pytest.mark.parametrize("name", METHODS)
def test_chunks_change_no_score(plain, rng, monkeypatch, name):
    network, _ = built(METHODS[name], plain, **SMALL)
    batch = episodes(rng, 5)
    whole = network.eval().predict(batch)
    monkeypatch.setitem(learner.CHUNK_BYTES, "cpu", 1)
    torch.testing.assert_close(network.predict(batch), whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (3, 6, 5)


@pytest.mark.parametrize("name", METHODS)
def test_other_ways_than_in_training_are_scored_or_refused_with_the_setting_that_would_do(plain, rng, name):
    network, _ = built(METHODS[name], plain, train_way=5, **SMALL)
    assert network.eval().predict(episodes(rng, 3)).shape == (3, 6, 3)
    if name.startswith("gnn"):
        with pytest.raises(HarnessError, match=r"--set LABEL\.train_way=7"):
            network.predict(episodes(rng, 7))
    else:
        assert network.predict(episodes(rng, 7)).shape == (3, 6, 7)


@pytest.mark.parametrize("name", METHODS)
def test_what_no_episode_can_be_drawn_from_is_said_with_the_setting_that_would_do(tiny, name):
    spec = METHODS[name]
    assert spec.check(spec.options(), tiny) is None
    assert "train_way=5" in spec.check(spec.options(train_way=9), tiny)
    assert "train_query=23" in spec.check(spec.options(train_query=24), tiny)


def test_offering_the_methods_imports_no_torch():
    code = (
        "import sys, harness_graph as p; [list(s.stages(s.options())) for s in p.harness_methods()];"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_readme_names_every_method_option_and_preset():
    text = (Path(__file__).parents[2] / "plugins" / "graph" / "README.md").read_text(encoding="utf-8")
    names = [name for spec in METHODS.values() for name in (spec.name, *spec.options.model_fields, *spec.presets)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_pairs_are_numbered_alike_whether_each_is_computed_once_or_both_ways():
    """Once where it scores, both ways where it trains, for the statistics of BatchNorm."""
    torch.manual_seed(0)
    edges = learner.OfPairs(7, 4)
    for norm in (layer for layer in edges.layers if isinstance(layer, torch.nn.BatchNorm1d)):
        norm.momentum = None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    nodes = torch.randn(3, 5, 7)
    once = edges.eval()(nodes)
    apart = (nodes[:, :, None] - nodes[:, None]).abs()
    torch.testing.assert_close(once, edges.layers(apart.flatten(0, 2)).view(3, 5, 5))
    counted = []
    edges.train().layers[0].register_forward_hook(lambda layer, given, made: counted.append(len(made)))
    edges(nodes)
    assert counted == [3 * 25]

"""plugins/graph, the two networks node by node and edge by edge, from their papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.fitting import built, fitted

harness_graph = pytest.importorskip("harness_graph", reason="harness-graph is not installed")
METHODS = {spec.name: spec for spec in harness_graph.harness_methods()}
SMALL = {"node_features": 5, "width": 4, "train_way": 3}
LABELS = np.array([0, 1, 2, 2, 0, 1])  # of six supports; two queries are behind them
S, N = 6, 8


def network(plain, name, **values):
    """In eval mode and float64, with BatchNorms that do something."""
    made, _ = built(METHODS[name], plain, **{**SMALL, **values})
    generator = torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                value.data.uniform_(0.5, 1.5, generator=generator)
    return made.double().eval()


def layers(sequential, x):
    """Linear layers, BatchNorms and leaky ReLUs applied to a vector."""
    for layer in sequential:
        if isinstance(layer, torch.nn.Linear):
            x = layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
        elif isinstance(layer, torch.nn.BatchNorm1d):
            mean, variance, weight, bias = (
                value.detach().numpy() for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
            )
            x = (x - mean) / np.sqrt(variance + layer.eps) * weight + bias
        else:
            x = np.where(x > 0, x, 0.01 * x)
    return x


def pairs(module, nodes):
    return np.array([[layers(module.layers, np.abs(a - b))[0] for b in nodes] for a in nodes])


def gnn_by_hand(made, nodes, n_way=3):
    """Eq. 3 to 6 of Garcia and Bruna, in the form of section 4."""
    known = [np.eye(3)[label] for label in LABELS]
    unknown = [np.full(3, 1 / n_way)] * (N - S)
    x = np.concatenate([nodes, np.array(known + unknown)], axis=1)
    for i, edges in enumerate(made.edges):
        weights = pairs(edges, x)
        neighbours = []
        for j in range(N):
            others = [k for k in range(N) if k != j]
            e = np.exp(weights[j, others] - weights[j, others].max())
            neighbours.append((e / e.sum()) @ x[others])
        both = np.concatenate([x, np.array(neighbours)], axis=1)
        if i == len(made.edges) - 1:
            return np.array([layers([made.last], row) for row in both])[S:]
        rule = [made.convolutions[i], made.norms[i], torch.nn.LeakyReLU()]
        x = np.concatenate([x, np.array([layers(rule, row) for row in both])], axis=1)
    return None


def egnn_by_hand(made, nodes):
    """Algorithm 1 of Kim et al.: all layers' edges, N×N×2."""
    e = np.full((N, N, 2), 0.5)
    for i in range(S):
        for j in range(S):
            e[i, j] = (1, 0) if LABELS[i] == LABELS[j] else (0, 1)
    v, found = nodes, []
    for of_nodes, of_edges in zip(made.of_nodes, made.of_edges, strict=True):
        new = []
        for i in range(N):
            others = [j for j in range(N) if j != i]
            said = [sum(e[i, j, d] * v[j] for j in others) / max(e[i, others, d].sum(), 1e-12) for d in range(2)]
            new.append(layers(of_nodes.layers, np.concatenate([v[i], *said])))
        v = np.array(new)
        f = 1 / (1 + np.exp(-pairs(of_edges, v)))
        updated = np.zeros_like(e)
        for i in range(N):
            others = [j for j in range(N) if j != i]
            for d, like in ((0, f[i]), (1, 1 - f[i])):
                total = sum(like[k] * e[i, k, d] for k in others)
                share = e[i, others, d].sum()
                for j in others:
                    updated[i, j, d] = like[j] * e[i, j, d] / max(total, 1e-12) * share
            updated[i, i] = (1, 0)
        e = (updated + 1e-6) / (updated + 1e-6).sum(axis=2, keepdims=True)
        found.append(e)
    return found


@pytest.fixture
def nodes(rng):
    """Two graphs."""
    return rng.normal(size=(2, N, 5))


def labels():
    return torch.tensor(LABELS).expand(2, -1)


def test_gnn_passes_labels_on_as_in_its_paper(plain, nodes):
    made = network(plain, "gnn")
    logits = made.score(torch.tensor(nodes), labels(), 3).detach().numpy()
    for g in range(2):
        np.testing.assert_allclose(logits[g], gnn_by_hand(made, nodes[g]), rtol=1e-8)


def test_egnn_sharpens_edges_as_in_its_paper(plain, nodes):
    made = network(plain, "egnn", layers=2)
    found = made.edges(torch.tensor(nodes), labels())
    scores = made.score(torch.tensor(nodes), labels(), 3).detach().numpy()
    for g in range(2):
        expected = egnn_by_hand(made, nodes[g])
        for layer in range(2):
            np.testing.assert_allclose(found[layer][g].detach().numpy(), expected[layer], rtol=1e-6, atol=1e-9)
        for q in range(N - S):
            tied = [expected[-1][S + q, :S, 0][label == LABELS].sum() for label in range(3)]
            np.testing.assert_allclose(scores[g, q], tied, rtol=1e-6)


def test_the_loss_of_edges_weighs_those_within_a_class_and_those_between_alike(nodes):
    from harness_graph.egnn_network import edge_loss

    edges = torch.rand(2, N, N, 2, generator=torch.Generator().manual_seed(0))
    of_queries = torch.tensor([[0, 2], [1, 1]])
    within, between = [], []
    for g in range(2):
        everyone = [*LABELS, *of_queries[g].tolist()]
        for i in range(N):
            for j in range(N):
                if i != j and max(i, j) >= S:
                    p = float(edges[g, i, j, 0])
                    (within if everyone[i] == everyone[j] else between).append(
                        -np.log(p if everyone[i] == everyone[j] else 1 - p)
                    )
    found = float(edge_loss(edges, labels(), of_queries))
    assert found == pytest.approx(np.mean(within) + np.mean(between), rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_is_that_of_finite_differences(plain, name):
    made = network(plain, name, layers=2)
    start = torch.randn(1, N, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda nodes: made.score(nodes, labels()[:1], 3), (start,))


@pytest.mark.parametrize("name", METHODS)
def test_training_minimises_the_papers_loss_of_its_queries(plain, name):
    """The first step's loss, from the nodes that the network made of its images."""
    values = {**SMALL, "episodes": 2, "train_shot": 2, "train_query": 1, "learning_rate": 1e-12}
    made = fitted(METHODS[name], plain, images=18, **values)
    nodes = made.outputs[0].reshape(2, 3, 3, 5)  # episode, class, image
    support, query = nodes[:, :, :2].flatten(1, 2), nodes[:, :, 2]
    net = made.network.double().train()
    of_supports, of_queries = torch.tensor([[0, 0, 1, 1, 2, 2]] * 2), torch.tensor([[0, 1, 2]] * 2)
    with torch.no_grad():
        graphs, of_graphs = net.graphs(support, of_supports, query)
        if name.startswith("gnn"):
            logits = net.score(graphs, of_graphs, 3).reshape(6, 3).numpy()
            likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            expected = -np.log(likely[np.arange(6), of_queries.flatten().numpy()]).mean()
        else:
            from harness_graph.egnn_network import edge_loss

            first, second, third = (
                float(edge_loss(e, of_graphs, of_queries.view(len(graphs), -1))) for e in net.edges(graphs, of_graphs)
            )
            expected = 0.5 * first + 0.5 * second + third
    assert made.losses[0] == pytest.approx(expected, rel=1e-3)


def test_at_first_a_label_that_neighbours_pass_on_counts_for_its_class(plain):
    """What the start adds to a query's scores are shares of the supports, by label."""
    without, started = (network(plain, "gnn", label_start=start) for start in (0.0, 3.0))
    nodes, labels = torch.randn(6, 5, 5, dtype=torch.float64), torch.tensor([[0, 1, 2, 2]]).expand(6, -1)
    with torch.no_grad():
        added = started.score(nodes, labels, 3) - without.score(nodes, labels, 3)  # (6, 1, 3)
    torch.testing.assert_close(added.sum(2), torch.full((6, 1), 3.0, dtype=torch.float64))
    assert (added > 0).all()

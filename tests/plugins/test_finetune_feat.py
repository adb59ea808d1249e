"""plugins/finetune, FEAT: its transformer beside torch's attention, its losses by hand, its scores, its two rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness_finetune.feat import FEAT
from harness_finetune.feat_network import SetTransformer
from harness_finetune.feat_training import contrastive, optimiser_of
from torch import nn

from harness.contract.learners import EpisodeBatch
from harness.contract.presets import resolve
from tests.helpers.finetune import B, Fitted, cross_entropy, noise, part

WAY, SHOT, QUERY = 3, 2, 3
IMAGES = WAY * (SHOT + QUERY)  # of a step
SHAPE = {"train_way": WAY, "train_shot": SHOT, "train_query": QUERY, "feat_learning_rate": 1e-3}


@pytest.fixture
def pretrained(plain):
    return Fitted(plain, FEAT, "pretrain", images=4 * B).network


@pytest.fixture
def without_dropout(monkeypatch):
    """What is drawn is drawn away, so that a loss can be computed by hand."""
    monkeypatch.setattr("harness_finetune.feat_network.F.dropout", lambda values, *_: values)


def feat(data, parent, **values):
    return Fitted(data, FEAT, "feat", parent, **{**SHAPE, "images": IMAGES, **values})


def transformer(n_features=6):
    torch.manual_seed(0)
    return SetTransformer(n_features).double().eval()


def test_the_transformer_is_torchs_attention_with_a_residual_and_a_norm():
    ours, vectors = transformer(), torch.randn(2, 5, 6, dtype=torch.float64)
    attention = nn.MultiheadAttention(6, 1, batch_first=True).double()
    attention.in_proj_weight.data = torch.cat([ours.to_query.weight, ours.to_key.weight, ours.to_value.weight]).data
    attention.in_proj_bias.data.zero_()
    attention.out_proj.load_state_dict(ours.output.state_dict())
    changed, _ = attention(vectors, vectors, vectors)
    expected = nn.functional.layer_norm(vectors + changed, (6,), ours.norm.weight, ours.norm.bias)
    torch.testing.assert_close(ours(vectors), expected)


def test_a_set_in_another_order_is_adapted_alike():
    vectors, order = torch.randn(2, 5, 6, dtype=torch.float64), torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(transformer()(vectors)[:, order], transformer()(vectors[:, order]))


def distances(points, centres):
    return np.array([[((point - centre) ** 2).sum() for centre in centres] for point in points])


def adapted(network, vectors):
    return network.eval()(torch.tensor(vectors)[None])[0].detach().numpy()


def test_the_contrastive_loss_is_that_of_distances_to_adapted_centres():
    network = transformer()
    classes = np.random.default_rng(0).normal(size=(2, WAY, 4, 6))
    losses = []
    for episode in classes:
        centres = [adapted(network, images).mean(axis=0) for images in episode]
        logits = -distances(episode.reshape(-1, 6), centres) / 2
        losses.append(cross_entropy(logits, np.repeat(np.arange(WAY), 4)))
    assert contrastive(network, torch.tensor(classes), 2.0).item() == pytest.approx(np.mean(losses), rel=1e-9)


@pytest.mark.usefixtures("without_dropout")
def test_the_loss_is_that_of_adapted_class_means_and_the_contrastive_loss(plain, pretrained):
    values = {"temperature": 8.0, "contrastive_temperature": 16.0, "balance": 0.3, "feat_learning_rate": 1e-30}
    fitted = feat(noise(plain), pretrained, **values)
    network = fitted.network.transformer.double()
    by_class = fitted.outputs[0][0].reshape(WAY, SHOT + QUERY, -1)
    means = adapted(network, by_class[:, :SHOT].mean(axis=1))
    logits = -distances(by_class[:, SHOT:].reshape(WAY * QUERY, -1), means) / 8
    classified = cross_entropy(logits, np.repeat(np.arange(WAY), QUERY))
    apart = contrastive(network, torch.tensor(by_class)[None], 16.0).item()
    assert classified > 0.1
    assert fitted.losses["classified"] == pytest.approx(classified, rel=1e-3)
    assert fitted.losses["contrastive"] == pytest.approx(apart, rel=1e-3)
    assert fitted.losses["loss"] == pytest.approx(classified + 0.3 * apart, rel=1e-3)
    assert fitted.trainer.images_seen == IMAGES


def test_an_episode_is_scored_by_distance_to_its_adapted_class_means(plain, pretrained):
    network = feat(plain, pretrained, temperature=5.0).network.eval()
    images = torch.from_numpy(plain.train.images)
    support = torch.stack([images[[0, 30, 1, 50, 31, 51]], images[[60, 80, 100, 61, 101, 81]]])
    labels = torch.tensor([[0, 1, 0, 2, 1, 2], [2, 0, 1, 2, 1, 0]])
    query = torch.stack([images[[5, 35, 55, 6]], images[[65, 85, 105, 66]]])
    for learner, adapt in ((network, True), (pretrained.eval(), False)):
        scores = learner.predict(EpisodeBatch(support, labels, query, WAY))
        for e in range(2):
            with torch.no_grad():
                features, queries = learner.embed(support[e]).double(), learner.embed(query[e]).double().numpy()
            means = np.stack([features[labels[e] == label].mean(0).numpy() for label in range(WAY)])
            if adapt:
                means = network.transformer(torch.tensor(means)[None].float())[0].detach().double().numpy()
            expected = -distances(queries, means) / (5 if adapt else 1)
            np.testing.assert_allclose(scores[e].numpy(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_the_transformer_learns_at_a_rate_of_its_own(plain, pretrained, optimiser):
    fitted = feat(plain, pretrained, optimiser=optimiser, transformer_rate=7.0)
    groups = optimiser_of(fitted.options)(fitted.network).param_groups
    assert [group["lr"] for group in groups] == pytest.approx([1e-3, 7e-3])
    assert sum(len(group["params"]) for group in groups) == len(list(fitted.network.parameters()))
    assert set(groups[1]["params"]) == set(fitted.network.transformer.parameters())


def test_it_starts_from_the_weights_of_pretrain(plain, pretrained):
    fitted = feat(plain, pretrained, feat_learning_rate=1e-30)
    started = dict(pretrained.backbone.named_parameters())
    assert all(torch.equal(weight, started[name]) for name, weight in fitted.network.backbone.named_parameters())


def test_episodes_of_a_few_images_are_learned(plain, pretrained):
    data = part(noise(plain), WAY, SHOT + QUERY)
    values = {"images": 120 * IMAGES, "feat_steps": 30, "feat_learning_rate": 5e-3, "temperature": 16.0}
    fitted = feat(data, pretrained, **values)
    assert fitted.last["loss"] < 0.3 * fitted.losses["loss"]


@pytest.mark.parametrize(
    ("preset", "dataset", "values"),
    [
        ("paper", "miniImageNet", (1, 64, 0.01, 64, (40, 80, 120, 160))),
        ("paper-5-shot", "miniImageNet", (5, 64, 0.1, 32, (40, 80, 120, 160))),
        ("paper", "tieredImageNet", (1, 64, 0.1, 64, tuple(range(20, 200, 20)))),
        ("paper-5-shot", "tieredImageNet", (5, 32, 0.1, 64, (40, 80, 120, 160))),
    ],
)
def test_presets_hold_the_published_values(preset, dataset, values):
    options = resolve(FEAT, preset, dataset)
    of_shots = (options.temperature, options.balance, options.contrastive_temperature, options.feat_decay_at)
    assert (options.train_shot, *of_shots) == values
    assert (options.feat_epochs, options.feat_steps, options.feat_learning_rate) == (200, 100, 2e-4)
    assert (options.transformer_rate, options.feat_decay_factor, options.weight_decay) == (10.0, 0.5, 5e-4)
    assert (options.train_way, options.train_query, options.selection) == (5, 15, "best-val")
    assert (options.epochs, options.batch_size, options.decay_at) == (500, 16, (75, 150, 300))
    assert FEAT.head is None

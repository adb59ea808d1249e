"""plugins/protonet: its loss by hand, the core's nearest centroid beside learn2learn's, and a quiet import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.common.errors import HarnessError
from harness.common.randomness import numpy_generator, seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.batches import EpisodicBatches
from harness.contract.methods import BuildContext, FitContext
from harness.contract.presets import resolve
from harness.evaluation.classifiers import nearest_centroid
from harness.hardware.hardware import choose_hardware
from harness.networks.backbones import SPECS
from harness.training.trainer import Trainer

harness_protonet = pytest.importorskip("harness_protonet", reason="harness-protonet is not installed")
INSTALL, PROTONET = harness_protonet.INSTALL, harness_protonet.PROTONET
ProtoNetOptions, stages = harness_protonet.ProtoNetOptions, harness_protonet.stages
HARDWARE = choose_hardware("cpu", "32", 1)
CONV4 = next(spec for spec in SPECS if spec.name == "conv4")
WAY, SHOT, QUERY = 4, 2, 3


class Fitted:
    """A network that was trained on a few episodes, and the features it gave on the way."""

    def __init__(self, data, validate=None, **values):
        values = {"train_way": WAY, "train_shot": SHOT, "train_query": QUERY, "schedule": "constant", **values}
        self.options = ProtoNetOptions(**values)
        (stage,) = stages(self.options)
        build = BuildContext(data.spec, data.train.n_classes, self.options, lambda: CONV4.build(BackboneRequest(16)))
        with seeded(0, "protonet"):
            self.network = stage.build(build)
        self.features = []
        self.network.register_forward_hook(lambda _, __, out: self.features.append(out.detach().double().numpy()))
        self.trainer = Trainer(data.train, data.spec, HARDWARE, seed=1, validate=validate)
        stage.fit(
            FitContext(**vars(build), train=data.train, val=None, parents=(), seed=0, trainer=self.trainer),
            self.network,
        )
        self.losses = self.trainer.history[0]


@pytest.fixture
def noise(plain):
    """Images whose classes have nothing in common, so that there is something to lose."""
    images = np.random.default_rng(0).integers(0, 256, plain.train.images.shape, dtype=np.uint8)
    return replace(plain, train=replace(plain.train, images=images))


@pytest.mark.learn2learn
def test_the_loss_is_that_of_distances_to_class_means(noise):
    fitted = Fitted(noise, images=WAY * (SHOT + QUERY))
    total = 0.0
    by_class = fitted.features[0].reshape(WAY, SHOT + QUERY, -1)
    prototypes = by_class[:, :SHOT].mean(axis=1)
    for label in range(WAY):
        for query in by_class[label, SHOT:]:
            distances = np.array([((query - prototype) ** 2).sum() for prototype in prototypes])
            likelihoods = np.exp(distances.min() - distances)
            total -= np.log(likelihoods[label] / likelihoods.sum())
    assert total > 0.1
    assert fitted.losses["loss"] == pytest.approx(total / (WAY * QUERY), rel=1e-4)
    assert fitted.trainer.images_seen == WAY * (SHOT + QUERY)


@pytest.mark.learn2learn
def test_a_step_is_an_episode_of_base_classes(plain):
    fitted = Fitted(plain, epochs=1, episodes_per_epoch=3)
    batches = EpisodicBatches(WAY, SHOT, QUERY, 3)
    expected = batches.epoch(plain.train, numpy_generator(1, "order", 1, 0))
    assert len(fitted.features) == len(expected) == 3
    assert all(len(features) == WAY * (SHOT + QUERY) for features in fitted.features)


@pytest.mark.learn2learn
@pytest.mark.parametrize("k_shot", [1, 5])
def test_the_cores_nearest_centroid_agrees_with_learn2learns_classifier(k_shot):
    from harness_protonet.training import prototypical_classifier

    generator = torch.Generator().manual_seed(k_shot)
    support = torch.randn(3, 5 * k_shot, 12, generator=generator, dtype=torch.float64)
    query = torch.randn(3, 20, 12, generator=generator, dtype=torch.float64)
    labels = torch.arange(5).repeat_interleave(k_shot).expand(3, -1)
    ours = nearest_centroid(support, labels, query, 5)
    for episode in range(3):
        theirs = prototypical_classifier()(support[episode], labels[episode])(query[episode])  # (Q, n_way)
        apart = ours[episode] - theirs  # ‖query - mean support‖², which all classes share
        torch.testing.assert_close(apart, apart[:, :1].expand(-1, 5))
        torch.testing.assert_close(apart[:, 0], (query[episode] - support[episode].mean(0)).square().sum(1))
        assert torch.equal(ours[episode].argmax(1), theirs.argmax(1))


@pytest.mark.learn2learn
def test_protonet_fits_one_episode(noise):
    """Five images a class and episodes of five a class: each step sees the same images."""
    some = np.concatenate([np.arange(SHOT + QUERY) + 24 * label for label in range(WAY)])
    train = replace(
        noise.train,
        images=noise.train.images[some],
        labels=noise.train.labels[some],
        class_names=noise.train.class_names[:WAY],
    )
    fitted = Fitted(replace(noise, train=train), epochs=5, episodes_per_epoch=20)
    assert fitted.trainer.history[-1]["loss"] < 0.05 * fitted.losses["loss"]


@pytest.mark.learn2learn
def test_importing_learn2learn_says_nothing():
    code = "from harness_protonet.training import prototypical_classifier as p; assert p().__name__"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_offering_the_method_imports_neither_torch_nor_learn2learn():
    code = (
        "import sys, harness_protonet; list(harness_protonet.stages(harness_protonet.ProtoNetOptions()));"
        "print([name for name in ('torch', 'learn2learn', 'gym') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_learn2learn_the_catalogue_says_what_to_install(monkeypatch):
    from harness.catalogue.catalogue import Catalogue

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "learn2learn" else find_spec(name, *rest)
    )
    found = Catalogue.discover()
    assert "protonet" not in found.methods
    assert {"skd", "rfs"} <= set(found.methods)
    (broken,) = (each for each in found.broken if "protonet" in each.plugin)
    assert "pip install" in broken.reason
    assert "learn2learn==0.2.0" in broken.reason
    with pytest.raises(HarnessError, match="pip install"):
        found.method("protonet")


@pytest.mark.parametrize(
    ("preset", "way", "shot", "epochs", "halved_until", "kept"),
    [
        ("paper", 30, 1, 10_000, 400, ("best-val-loss", 200, 100)),
        ("paper-5-shot", 20, 5, 10_000, 400, ("best-val-loss", 200, 100)),
        ("learn2learn", 30, 1, 250, 240, ("last", None, 200)),
    ],
)
@pytest.mark.parametrize("dataset", ["CIFAR-FS", "FC100", "miniImageNet", "tieredImageNet"])
def test_presets_hold_the_published_values(preset, way, shot, epochs, halved_until, kept, dataset):
    options = resolve(PROTONET, preset, dataset)
    assert (options.train_way, options.train_shot, options.train_query) == (way, shot, 15)
    assert (options.optimiser, options.learning_rate, options.decay_factor) == ("adam", 1e-3, 0.5)
    assert (options.epochs, options.episodes_per_epoch, options.weight_decay) == (epochs, 100, 0.0)
    assert options.decay_at == tuple(range(20, halved_until + 1, 20))  # 20 epochs of 100 episodes: every 2,000
    assert (options.selection, options.patience, options.selection_episodes) == kept
    assert PROTONET.head is not None
    assert str(PROTONET.head) == "nearest-centroid"


@pytest.mark.parametrize(("preset", "shot"), [("paper", 1), ("paper-5-shot", 5)])
def test_omniglot_is_trained_on_60_way_episodes_of_5_queries(preset, shot):
    options = resolve(PROTONET, preset, "Omniglot")
    assert (options.train_way, options.train_shot, options.train_query) == (60, shot, 5)


def test_validation_has_the_shots_of_training(plain):
    asked = []

    def validate(network, selection):
        asked.append((selection.n_way, selection.k_shot, selection.n_episodes, selection.measure, selection.patience))
        return float(len(asked))  # a loss that rises: the first epoch stays the best

    fitted = Fitted(
        plain,
        validate=validate,
        epochs=9,
        episodes_per_epoch=1,
        selection="best-val-loss",
        patience=2,
        selection_episodes=7,
    )
    assert asked == [(5, SHOT, 7, "loss", 2)] * 3
    assert [row["val_loss"] for row in fitted.trainer.history] == [1.0, 2.0, 3.0]


def test_every_option_decides_the_stage():
    (stage,) = stages(ProtoNetOptions())
    assert stage.reads is None
    assert "batch_size" not in ProtoNetOptions.model_fields


def test_the_readme_names_every_option_and_preset_and_how_to_install_learn2learn():
    text = (Path(__file__).parents[2] / "plugins" / "protonet" / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*ProtoNetOptions.model_fields, *PROTONET.presets) if f"`{name}`" not in text] == []
    assert INSTALL in text

"""Views and embeddings against image-by-image loops."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.catalogue.catalogue import Catalogue
from harness.common.errors import HarnessError, PluginError, UnknownName
from harness.contract.data import Augmentation, Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import BaseStatistics, Head, TransformSpec
from harness.contract.hooks import hookimpl
from harness.episodes.sampler import sample_episodes
from harness.evaluation import cache
from harness.evaluation.embed import ViewSource, embed, used_pairs

AUGMENTATION = Augmentation(crop_padding=2, flip=True)
SPLIT = Split(
    "test",
    np.random.default_rng(0).integers(0, 256, (400, 6, 5, 3), dtype=np.uint8),
    np.repeat(np.arange(20), 20),
    tuple(f"class {c}" for c in range(20)),
    "data",
)


class Pixels:
    """A learner that remembers how often it embedded which images."""

    def __init__(self) -> None:
        self.weight = torch.ones(1)
        self.seen: list[bytes] = []

    def state_dict(self) -> dict[str, Tensor]:
        return {"weight": self.weight}

    def embed(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        self.seen += [image.numpy().tobytes() for image in images]
        return images.flatten(1).float() * self.weight


def some_episodes(n: int = 6, k_shot: int = 2) -> Episodes:
    return sample_episodes(SPLIT, EpisodeSpec(3, k_shot, 4), n, 0)


def test_view_0_is_the_image_and_others_depend_on_seed_image_and_view_alone(
    rng: np.random.Generator,
) -> None:
    source = ViewSource(SPLIT, AUGMENTATION, seed=1, views=3)
    images = rng.permutation(400)
    views = rng.integers(0, 3, 400)
    together = source.read(images, views).numpy()
    assert (together[views == 0] == SPLIT.images[images[views == 0]]).all()
    fewer_views = ViewSource(SPLIT, AUGMENTATION, seed=1, views=2)
    for i in range(0, 400, 37):
        alone = (fewer_views if views[i] < 2 else source).read(images[i : i + 1], views[i : i + 1])
        assert (alone.numpy()[0] == together[i]).all()
    other = ViewSource(SPLIT, AUGMENTATION, seed=2, views=3).read(images, views).numpy()
    assert (other != together).any(axis=(1, 2, 3))[views > 0].mean() > 0.9
    assert (other == together).all(axis=(1, 2, 3))[views == 0].all()


def test_views_of_a_dataset_without_flips_are_never_mirrored() -> None:
    split = Split(
        "test", np.tile(np.arange(5, dtype=np.uint8)[None, None, :, None], (50, 6, 1, 3)), np.zeros(50, int), ("a",), ""
    )
    views = ViewSource(split, Augmentation(crop_padding=1), views=2).read(np.arange(50), np.ones(50, int)).int()
    ascending = views.diff(dim=2)[:, 1:-1]
    assert ((ascending >= 0) | (ascending < -1)).all()  # it only falls where the padding begins


def test_offsets_and_flips_are_uniform() -> None:
    split = Split("test", np.broadcast_to(np.uint8(0), (5_000, 1, 1, 1)), np.zeros(5_000, int), ("a",), "")
    rows, columns, flips = ViewSource(split, Augmentation(4, 0, flip=True), views=2)._parameters[1]
    for offsets in (rows, columns):
        counts = np.bincount(offsets)
        assert len(counts) == 9
        assert abs(counts - 5_000 / 9).max() < 120
    assert abs(flips.mean() - 0.5) < 0.03


def test_each_used_view_is_embedded_once_and_nothing_else() -> None:
    episodes, views = [some_episodes(), some_episodes(4, k_shot=1)], 3
    pairs = used_pairs(episodes, views, len(SPLIT))
    expected = {(int(i), 0) for some in episodes for i in some.query.reshape(-1)}
    expected |= {(int(i), v) for some in episodes for i in some.support.reshape(-1) for v in range(views)}
    assert list(map(tuple, pairs.tolist())) == sorted(expected)
    learner, source = Pixels(), ViewSource(SPLIT, AUGMENTATION, views=views)
    features = embed(learner, source, pairs)
    truth = [source.read(pair[:1], pair[1:]).flatten().float() for pair in pairs]
    assert (features == torch.stack(truth)).all()
    assert len(learner.seen) == -(-len(pairs) // source.batch_size) * source.batch_size


def test_larger_images_come_in_smaller_batches() -> None:
    sizes = {
        side: ViewSource(Split("test", np.empty((1, side, side, 3), np.uint8), np.zeros(1, int), ("a",), "")).batch_size
        for side in (28, 32, 84, 224)
    }
    assert sizes == {28: 256, 32: 256, 84: 37, 224: 16}


def test_progress_ends_with_all_done() -> None:
    reports: list[tuple[int, int]] = []
    pairs = np.stack([np.arange(400), np.zeros(400, int)], axis=1)
    embed(Pixels(), ViewSource(SPLIT), pairs, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(256, 400), (400, 400)]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda images: images, "uint8; it must return a float32 tensor"),
        (lambda images: None, "NoneType; it must return a float32 tensor"),
        (lambda images: torch.zeros(len(images) - 1, 4), "shape (255, 4) for 256 images, not (256, D)"),
        (lambda images: torch.zeros(len(images), 4, 1), "shape (256, 4, 1) for 256 images"),
        (lambda images: torch.zeros(len(images), int(images.sum()) % 97), "not (256, "),
        (lambda images: torch.full((len(images), 4), torch.nan), "NaN or infinite"),
    ],
)
def test_a_learner_that_returns_nonsense_is_named(returned: object, message: str) -> None:
    learner = Pixels()
    learner.embed = returned  # type: ignore[assignment, method-assign]
    pairs = np.stack([np.arange(400), np.zeros(400, int)], axis=1)
    with pytest.raises(PluginError, match=rf"Pixels.embed\(\) returned .*{re.escape(message)}"):
        embed(learner, ViewSource(SPLIT), pairs)


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────


def cached(path: Path, learner: Pixels, episodes: Episodes, views: int, seed: int = 0) -> cache.Embedding:
    source = ViewSource(SPLIT, AUGMENTATION, seed=seed, views=views)
    pairs = used_pairs([episodes], views, len(SPLIT))
    key, compute = (lambda: cache.identity(learner, source)), (lambda missing: embed(learner, source, missing))
    return cache.load_or_compute(path, key, pairs, compute)


def test_damaged_features_are_embedded_again(tmp_path: Path) -> None:
    path, learner = tmp_path / "embeddings", Pixels()
    whole = cached(path, learner, some_episodes(3), views=1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = cached(path, learner, some_episodes(3), views=1)
    assert torch.equal(again.features, whole.features)


def test_features_of_another_number_format_are_others(tmp_path: Path) -> None:
    source = ViewSource(SPLIT)
    formats = (nullcontext, partial(torch.autocast, "cpu", dtype=torch.bfloat16))
    assert len({cache.identity(Pixels(), source, autocast) for autocast in formats}) == 2


def test_cache_embeds_only_what_is_missing(tmp_path: Path) -> None:
    path, learner = tmp_path / "stage" / "features.safetensors", Pixels()
    cached(path, learner, some_episodes(3), views=1)
    n_first = len(learner.seen)
    again = cached(path, learner, some_episodes(3), views=1)
    assert len(learner.seen) == n_first
    more = cached(path, learner, some_episodes(8), views=3)
    assert len(set(learner.seen[n_first:]) & set(learner.seen[:n_first])) == 0
    fresh = cached(tmp_path / "other", Pixels(), some_episodes(8), views=3)
    for embedding in (again, more):
        rows = fresh.rows(embedding.pairs[:, 0], 3)[np.arange(len(embedding.pairs)), embedding.pairs[:, 1]]
        assert (fresh.features[torch.from_numpy(rows)] == embedding.features).all()
    assert (more.pairs == fresh.pairs).all()


@pytest.mark.parametrize("change", ["weights", "view seed", "damaged", "empty"])
def test_cache_of_something_else_is_replaced(tmp_path: Path, change: str) -> None:
    path, learner = tmp_path / "features.safetensors", Pixels()
    cached(path, learner, some_episodes(), views=2)
    if change == "weights":
        learner.weight = torch.full((1,), 2.0)
    elif change in ("damaged", "empty"):
        path.write_bytes(path.read_bytes()[:-9] if change == "damaged" else b"")
    seed = 1 if change == "view seed" else 0
    found = cached(path, learner, some_episodes(), views=2, seed=seed)
    fresh = cached(tmp_path / "fresh", learner, some_episodes(), views=2, seed=seed)
    assert (found.features == fresh.features).all()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


# ── transforms ────────────────────────────────────────────────────────────────────────────────────


def transformed(transform: str, features: torch.Tensor, raw: BaseStatistics | None = None) -> torch.Tensor:
    return Catalogue.discover().head(Head("cosine", transform)).transformed(features, raw or BaseStatistics())


def test_transforms_are_applied_in_order() -> None:
    features, mean = torch.rand(5, 4), torch.rand(4)
    centred = (features - mean).numpy()
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(transformed("centre+l2", features, BaseStatistics(mean)), expected, rtol=1e-5)
    root = np.sqrt(features.numpy())
    expected = root / np.linalg.norm(root, axis=1, keepdims=True)
    np.testing.assert_allclose(transformed("power+l2", features), expected, rtol=1e-5)
    assert (transformed("none", features) == features).all()


@pytest.mark.parametrize(
    ("transform", "error", "message"),
    [
        ("l3", UnknownName, "unknown feature transform 'l3'. Did you mean 'l2'?"),
        ("l2+", UnknownName, "unknown feature transform ''"),
        ("l2+centre", HarnessError, "put it first"),
        ("power", HarnessError, "not negative"),
    ],
)
def test_transforms_that_cannot_be_applied_are_refused(transform: str, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        transformed(transform, torch.tensor([[1.0, -1.0]]))


def test_a_transform_of_a_plugin_is_applied_and_its_version_decides_the_score() -> None:
    class Plugin:
        @hookimpl
        def harness_transforms(self) -> list[TransformSpec]:
            return [TransformSpec("double", "twice as long", lambda: lambda features: 2 * features, version=3)]

    catalogue = Catalogue.discover()
    catalogue.add("mine", Plugin())
    head = catalogue.head(Head("cosine", "l2+double"))
    features = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(head.transformed(features, BaseStatistics()), torch.tensor([[1.2, 1.6]]))
    assert head.versions == [1, 1, 3]
    assert catalogue.head(Head("cosine", "centre+l2")).versions == [1]

"""How exact and how fast the evaluation is, against scikit-learn and against the way of the reference codes.

    python benchmarks/speed/evaluation.py --data-root DATA                    # CIFAR-FS, an untrained resnet12
    python benchmarks/speed/evaluation.py --data-root DATA --parts reference  # end to end, conv4

Features are kept in ``--features`` between runs. Without ``--data-root`` they are synthetic. Prints markdown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from measuring import clock_of, conditions, ratio, table, timed_in_turns
from reference import as_published, one_by_one
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.catalogue.catalogue import Catalogue
from harness.contract.backbones import BackboneRequest
from harness.contract.data import DataRequest, DatasetSpec, Split
from harness.contract.episodes import Episodes, EpisodeSpec
from harness.contract.heads import Head
from harness.contract.methods import BuildContext
from harness.contract.options import MethodOptions
from harness.datasets import SPECS as DATASETS
from harness.datasets import open_dataset
from harness.episodes.sampler import sample_episodes
from harness.evaluation import cache, classifiers, transforms
from harness.evaluation.embed import Embedding, ViewSource, embed, used_pairs
from harness.evaluation.evaluator import Evaluator
from harness.evaluation.scoring import score
from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.memory import peak_memory_bytes
from harness.hardware.process import prepare_process
from harness.networks.backbones import SPECS as BACKBONES
from harness.networks.learners import FeatureNetwork
from harness.statistics.intervals import closed_interval

SETTINGS = ((5, 1, 1), (5, 5, 1), (5, 1, 5), (5, 5, 5), (20, 1, 1), (20, 5, 1))  # n_way, k_shot, views
PARTS = ("agreement", "speed", "many", "reference")
Classifier = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, help="prepared datasets; without it, synthetic features")
    parser.add_argument("--dataset", default="CIFAR-FS")
    parser.add_argument("--backbone", default="resnet12")
    parser.add_argument("--features", type=Path, default=Path(tempfile.gettempdir()) / "harness-speed-features")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--parts", default="agreement,speed,many")
    arguments = parser.parse_args()
    hardware = choose_hardware("cpu", "auto", arguments.threads)
    prepare_process(hardware)
    threadpool_limits(hardware.threads)  # of numpy and scikit-learn
    print(conditions(hardware, episodes=arguments.episodes, rounds=arguments.rounds), end="\n\n")
    parts = arguments.parts.split(",")
    if parts != ["reference"]:
        split, embedding, title = features_of(arguments, hardware)
        print(f"Features: {title}, L2-normalised.\n")
    if "agreement" in parts:
        print(agreement(split, embedding, arguments.episodes))
    if "speed" in parts:
        print(speed(split, embedding, arguments.episodes, arguments.rounds, hardware))
    if "many" in parts:
        print(many(split, embedding, arguments.many, hardware))
    if "reference" in parts:
        print(against_reference(arguments, hardware))


# ── features ──────────────────────────────────────────────────────────────────────────────────────


def features_of(arguments: argparse.Namespace, hardware: Hardware) -> tuple[Split, Embedding, str]:
    """Novel classes, and the normalised features of all views that the episodes of this script use."""
    if arguments.data_root is None:
        return *synthetic(), "synthetic, 20 classes × 600, 640 dimensions"
    split, network, spec = opened(arguments.data_root, arguments.dataset, arguments.backbone)
    source = ViewSource(split, spec.augmentation, 0, hardware.device, views=5)
    used = [sampled(split, n_way, k_shot, arguments.episodes) for n_way, k_shot, _ in SETTINGS]
    pairs = used_pairs([*used, sampled(split, 5, 5, arguments.many)], 5, len(split))
    embedding = cache.load_or_compute(
        arguments.features.with_suffix(f".{arguments.backbone}.{arguments.dataset}"),
        lambda: cache.identity(network, source, hardware.autocast),
        pairs,
        lambda missing: embed(network, source, missing, hardware.autocast),
    )
    normalised = Embedding(transforms.l2(embedding.features), embedding.pairs)
    dimensions = normalised.features.shape[1]
    return (
        split,
        normalised,
        f"{arguments.dataset}, novel classes, untrained {arguments.backbone}, {dimensions} dimensions",
    )


def opened(root: Path, dataset: str, backbone: str) -> tuple[Split, FeatureNetwork, DatasetSpec]:
    spec = next(spec for spec in DATASETS if spec.name == dataset)
    split = open_dataset(spec, DataRequest(root)).test
    assert split is not None
    build = next(spec for spec in BACKBONES if spec.name == backbone).build
    torch.manual_seed(0)
    request = BackboneRequest(spec.image_size, spec.channels)
    network = FeatureNetwork(BuildContext(spec, 0, MethodOptions(), lambda: build(request)))
    return split, network.eval().requires_grad_(False), spec


def synthetic() -> tuple[Split, Embedding]:
    """Classes of rectified Gaussian features, five noisy views an image."""
    labels, random = np.repeat(np.arange(20), 600), torch.Generator().manual_seed(0)
    means = 2 * torch.rand(1, 640, generator=random) + 0.3 * torch.randn(20, 640, generator=random)
    images = torch.relu(means[labels] + torch.randn(len(labels), 640, generator=random))
    views = images.repeat_interleave(5, dim=0)
    views += 0.3 * torch.randn(views.shape, generator=random)
    pairs = np.stack([np.repeat(np.arange(len(labels)), 5), np.tile(np.arange(5), len(labels))], axis=1)
    split = Split("test", np.empty((len(labels), 0)), labels, tuple(map(str, range(20))), "synthetic")
    return split, Embedding(transforms.l2(torch.relu(views)), pairs)


def sampled(split: Split, n_way: int, k_shot: int, n_episodes: int) -> Episodes:
    return sample_episodes(split, EpisodeSpec(n_way, k_shot), n_episodes, seed=0)


def named(n_way: int, k_shot: int, views: int) -> str:
    return f"{n_way}-way {k_shot}-shot, {views} view{'s' * (views > 1)}"


# ── against scikit-learn ──────────────────────────────────────────────────────────────────────────


def agreement(split: Split, embedding: Embedding, n_episodes: int) -> str:
    """The same predictions as scikit-learn's at tolerance 1e-10 in float64?"""
    rows = []
    for n_way, k_shot, views in SETTINGS:
        episodes = sampled(split, n_way, k_shot, n_episodes)
        found = {}
        for name, classifier, dtype in (
            ("truth", lambda *a: classifiers.logistic_sklearn(*a, tol=1e-10), torch.float64),
            ("float32", classifiers.logistic, torch.float32),
            ("float64", classifiers.logistic, torch.float64),
        ):
            predictions: list[Tensor] = []
            accuracies = score(embedding, episodes, views, recording(classifier, dtype, predictions))
            found[name] = torch.cat(predictions), 100 * accuracies.mean()
        truth, accuracy = found["truth"]
        same = {name: f"{100 * (found[name][0] == truth).double().mean():.4f}" for name in ("float32", "float64")}
        difference = found["float32"][1] - accuracy
        rows.append(
            (named(n_way, k_shot, views), f"{accuracy:.3f}", same["float32"], same["float64"], f"{difference:+.4f}")
        )
    head = ("setting", "accuracy %", "same in float32 %", "same in float64 %", "float32's accuracy, points")
    title = f"## Agreement with scikit-learn (tolerance 1e-10, float64), {n_episodes} episodes\n\n"
    return title + table(head, rows)


def recording(classifier: Classifier, dtype: torch.dtype, predictions: list[Tensor]) -> Classifier:
    def recorded(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        scores = classifier(support.to(dtype), labels, query.to(dtype), n_way)
        predictions.append(scores.argmax(dim=2))
        return scores

    return recorded


def speed(split: Split, embedding: Embedding, n_episodes: int, rounds: int, hardware: Hardware) -> str:
    """Milliseconds an episode: one scikit-learn fit each, at its own tolerance, and the batched classifiers."""
    few = max(1, n_episodes // 10)  # of scikit-learn's, which takes the same time for each
    rows = []
    for n_way, k_shot, views in SETTINGS:
        gathered: list[tuple[Tensor, Tensor, Tensor, int]] = []

        def gather(support: Tensor, labels: Tensor, query: Tensor, n_way: int, into: list = gathered) -> Tensor:
            into.append((support.clone(), labels.clone(), query.clone(), n_way))
            return query.new_zeros(*query.shape[:2], n_way)

        score(embedding, sampled(split, n_way, k_shot, n_episodes), views, gather)
        support, labels, query = (torch.cat([part[i] for part in gathered]) for i in range(3))  # type: ignore[misc]
        work = {
            "sklearn": partial(classifiers.logistic_sklearn, support[:few], labels[:few], query[:few], n_way),
            **{
                name: partial(getattr(classifiers, name), support, labels, query, n_way)
                for name in ("logistic", "ridge", "nearest_centroid", "nearest_neighbour")
            },
        }
        seconds = timed_in_turns(work, rounds, hardware)
        each = {
            name: 1e3 * statistics.median(s) / (few if name == "sklearn" else n_episodes) for name, s in seconds.items()
        }
        faster = ratio(seconds["sklearn"], seconds["logistic"]) * n_episodes / few
        supports = n_way * k_shot * views
        rows.append((named(n_way, k_shot, views), supports, *(f"{ms:.3f}" for ms in each.values()), f"{faster:.0f} ×"))
    head = (
        "setting",
        "supports",
        "scikit-learn",
        "logistic",
        "ridge",
        "nearest centroid",
        "nearest neighbour",
        "ratio",
    )
    title = "## Milliseconds an episode, features at hand; ratio: scikit-learn to logistic\n\n"
    return title + table(head, rows)


def many(split: Split, embedding: Embedding, n_episodes: int, hardware: Hardware) -> str:
    """Sampling and scoring, from index arrays to accuracies."""
    clock, rows = clock_of(hardware), []
    for n_way, k_shot, views in ((5, 1, 1), (5, 5, 1), (5, 5, 5)):
        began = clock()
        episodes = sampled(split, n_way, k_shot, n_episodes)
        sampling = clock() - began
        score(embedding, episodes, views, classifiers.logistic)
        rows.append((named(n_way, k_shot, views), f"{sampling:.2f}", f"{clock() - began - sampling:.2f}"))
    title = f"## {n_episodes:,} episodes, logistic, seconds\n\n"
    memory = f"\nPeak memory of this process: {peak_memory_bytes(hardware) / 1e9:.2f} GB.\n"
    return title + table(("setting", "sampling", "scoring"), rows) + memory


# ── against the reference codes ───────────────────────────────────────────────────────────────────


def against_reference(arguments: argparse.Namespace, hardware: Hardware) -> str:
    """The same episodes, each embedded again and fitted by scikit-learn, as ``meta_test`` of RFS and SKD does.

    In a process of its own, since the harness sets the allocator of its process, and that speeds up theirs too.
    """
    split, network, spec = opened(arguments.data_root, arguments.dataset, "conv4")
    several = [sampled(split, 5, k_shot, arguments.episodes) for k_shot in (1, 5)]
    clock, rows = clock_of(hardware), []
    for views in (1, 5):
        skd, rfs = ("as SKD", 0.0), ("as RFS, with colour jitter", 0.4)
        theirs = [(*skd, False), (*skd, True), (*rfs, False)] if views > 1 else [(*skd, False), (*skd, True)]
        found = {}
        for name, jitter, tuned in theirs:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                what = f"every episode by itself, {name}" + "; the harness's allocator" * tuned
                found[what] = alone.submit(every_episode, arguments, hardware, views, jitter, tuned).result()
        ours, began = "embedded once, solved together", clock()
        evaluator = Evaluator(
            network.to(memory_format=torch.channels_last),
            split,
            augmentation=spec.augmentation,
            device=hardware.device,
            autocast=hardware.autocast,
        )
        scores = evaluator.scores(several, Catalogue.discover().head(Head("logistic", "l2", views)))
        found[ours] = clock() - began, [score.accuracies for score in scores]
        for name, (seconds, accuracies) in found.items():
            intervals = [closed_interval(values) for values in accuracies]
            shown = (f"{100 * each.mean:.2f} ± {100 * each.half_width:.2f}" for each in intervals)
            rows.append((views, name, f"{seconds:.1f}", f"{seconds / found[ours][0]:.0f} ×", *shown))
    title = f"## End to end: {arguments.dataset}, untrained conv4, {arguments.episodes} episodes a setting"
    head = ("support views", "way of working", "seconds", "to ours", "5-way 1-shot %", "5-way 5-shot %")
    return title + "\n\n" + table(head, rows)


def every_episode(
    arguments: argparse.Namespace, hardware: Hardware, views: int, jitter: float, tuned: bool
) -> tuple[float, list[np.ndarray]]:
    """Seconds and accuracies (E,) a setting, in a process with or without the harness's settings."""
    if tuned:
        prepare_process(hardware)
    torch.set_num_threads(hardware.threads)
    threadpool_limits(hardware.threads)
    split, network, spec = opened(arguments.data_root, arguments.dataset, "conv4")
    several = [sampled(split, 5, k_shot, arguments.episodes) for k_shot in (1, 5)]
    clock, theirs = clock_of(hardware), as_published(network)
    began = clock()
    accuracies = [one_by_one(theirs, split, spec, views, jitter, episodes) for episodes in several]
    return clock() - began, accuracies


if __name__ == "__main__":
    main()

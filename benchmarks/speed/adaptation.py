"""How fast MAML and ANIL adapt to many episodes at once, to one after the other, and by learn2learn's loop.

    python benchmarks/speed/adaptation.py                     # 600 episodes of MAML and ANIL
    python benchmarks/speed/adaptation.py --episodes 40 --methods maml

5-way 1-shot episodes of 15 queries a class, conv4, untrained, five inner steps. On a GPU the harness adapts to many at
once, on a processor to one after the other; both are timed on either. The three ways share weights, images
and BatchNorm's statistics (the supports'), and their predictions are compared. Prints markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from harness_metalearning import adaptation
from harness_metalearning.adaptation import AdaptiveNetwork, Anil, Maml
from harness_metalearning.maml import MamlOptions
from harness_metalearning.norms import EpisodeNorm
from measuring import conditions, ratio, table, timed_in_turns
from torch import Tensor, nn

from harness.contract.backbones import BackboneRequest
from harness.contract.data import DatasetSpec
from harness.contract.learners import EpisodeBatch
from harness.contract.methods import BuildContext
from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.process import prepare_process
from harness.networks.backbones import SPECS

N_WAY, N_QUERY, STEPS, RATE = 5, 15, 5, 0.05


def build(method: str, size: int) -> AdaptiveNetwork:
    dataset = DatasetSpec("synthetic", "blobs", size, lambda request: None)
    conv4 = next(spec for spec in SPECS if spec.name == "conv4")
    options = MamlOptions(test_steps=STEPS, inner_rate=RATE)
    context = BuildContext(dataset, 64, options, lambda: conv4.build(BackboneRequest(size)))
    torch.manual_seed(0)
    return Maml(context, transductive=False) if method == "maml" else Anil(context)


def sample(n_episodes: int, size: int, device: str) -> tuple[EpisodeBatch, Tensor]:
    """Episodes whose classes are colours under noise, and the labels of their queries (E, Q)."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(64, 192, (n_episodes, N_WAY, 1, 1, 1, 3), generator=generator)
    noise = torch.randint(-64, 64, (n_episodes, N_WAY, 1 + N_QUERY, size, size, 3), generator=generator)
    images = (colours + noise).to(torch.uint8).to(device)
    labels = torch.arange(N_WAY, device=device).repeat(n_episodes, 1)
    batch = EpisodeBatch(images[:, :, 0], labels, images[:, :, 1:].flatten(1, 2), N_WAY)
    return batch, labels.repeat_interleave(N_QUERY, dim=1)


# ── the three ways: scores (E, Q, n_way) ──────────────────────────────────────────────────────────


def at_once(network: AdaptiveNetwork, batch: EpisodeBatch) -> Tensor:
    with mock.patch.object(adaptation, "at_once", return_value=True):
        return network.predict(batch)


def one_by_one(network: AdaptiveNetwork, batch: EpisodeBatch) -> Tensor:
    parts = zip(batch.support.split(1), batch.support_labels.split(1), batch.query.split(1), strict=True)
    with (
        mock.patch.object(adaptation, "at_once", return_value=False),
        mock.patch.object(adaptation, "CHUNK_EPISODES", 1),
    ):
        return torch.cat([network.predict(EpisodeBatch(*part, N_WAY)) for part in parts])


def by_learn2learn(network: AdaptiveNetwork, batch: EpisodeBatch) -> Tensor:
    """Its MAML and its loop, first order, since nothing is learned from the adapted weights."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from learn2learn.algorithms import MAML
    adapts_all = isinstance(network, Maml)
    adapting = nn.Sequential(network.backbone, network.head) if adapts_all else network.head
    norms = [module for module in network.backbone.modules() if isinstance(module, EpisodeNorm)]
    maml = MAML(adapting, lr=RATE, first_order=True)
    scores = []
    for support, labels, query in zip(batch.support, batch.support_labels, batch.query, strict=True):
        images = ((torch.cat([support, query]).float() / 255 - network.mean) / network.std).movedim(-1, 1)
        with torch.no_grad():
            inputs = images if adapts_all else network.backbone(images)
        learner = maml.clone()
        for norm in norms:
            norm.n_first, norm.fused = N_WAY, True
        for module in learner.modules():
            if isinstance(module, EpisodeNorm):
                module.n_first, module.fused = N_WAY, True
        for _ in range(STEPS):
            learner.adapt(F.cross_entropy(learner(inputs[:N_WAY]), labels))
        with torch.no_grad():
            scores.append(learner(inputs)[N_WAY:])
    return torch.stack(scores)


WAYS: dict[str, Callable[[AdaptiveNetwork, EpisodeBatch], Tensor]] = {
    "at once": at_once,
    "one after the other": one_by_one,
    "learn2learn": by_learn2learn,
}


def compared(method: str, arguments: argparse.Namespace, hardware: Hardware) -> list[tuple[object, ...]]:
    network = build(method, arguments.size).eval().to(hardware.device)
    batch, labels = sample(arguments.episodes, arguments.size, hardware.device)
    found: dict[str, Tensor] = {}

    def run(name: str) -> None:
        found[name] = WAYS[name](network, batch).argmax(dim=2)

    seconds = timed_in_turns({name: partial(run, name) for name in WAYS}, arguments.rounds, hardware)
    return [
        (
            method,
            name,
            f"{1e3 * statistics.median(seconds[name]) / arguments.episodes:.1f}",
            f"{ratio(seconds[name], seconds['at once']):.2f} ×",
            f"{100 * (found[name] == labels).double().mean():.3f}",
            f"{100 * (found[name] == found['at once']).double().mean():.3f}",
        )
        for name in WAYS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--size", type=int, default=32, help="pixels on a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["maml", "anil"], choices=["maml", "anil"])
    arguments = parser.parse_args()
    hardware = choose_hardware(arguments.device, "32", arguments.threads)
    prepare_process(hardware)
    shown = {"episodes": arguments.episodes, "image": f"{arguments.size}×{arguments.size}", "rounds": arguments.rounds}
    print(conditions(hardware, backbone="conv4", inner_steps=STEPS, **shown), end="\n\n", flush=True)
    rows = [row for method in arguments.methods for row in compared(method, arguments, hardware)]
    head = ("method", "episodes", "ms an episode", "to at once", "accuracy %", "same predictions %")
    print(table(head, rows))


if __name__ == "__main__":
    main()

"""What the transductive classifiers cost: all episodes at once, against easyfsl's classes, one episode after the other.

    pip install --no-deps --target easyfsl-only easyfsl
    PYTHONPATH=easyfsl-only python benchmarks/speed/transductive.py

Both do the same: where easyfsl's class departs from the paper, its subclass below does not, and the table says so.
Features are synthetic; with ``--data-root DATA`` those of CIFAR-FS by an untrained resnet12. Prints markdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from evaluation import features_of, sampled
from harness_transductive.bd_cspn import bd_cspn
from harness_transductive.features import unit
from harness_transductive.laplacian_shot import laplacian_shot
from harness_transductive.pt_map import pt_map
from harness_transductive.tim import tim
from measuring import clock_of, conditions, ratio, table
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.evaluation.scoring import score, shuffled_queries
from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.process import prepare_process

try:
    import easyfsl.methods as theirs
except ImportError:
    sys.exit(
        "easyfsl is not installed: pip install --no-deps --target easyfsl-only easyfsl, then PYTHONPATH=easyfsl-only"
    )

N_WAY = 5
Episodes = tuple[Tensor, Tensor, Tensor]  # support, labels, query
Classify = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, help="prepared datasets; without it, synthetic features")
    parser.add_argument("--dataset", default="CIFAR-FS")
    parser.add_argument("--backbone", default="resnet12")
    parser.add_argument("--features", type=Path, default=Path(tempfile.gettempdir()) / "harness-speed-features")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--many", type=int, default=1, help=argparse.SUPPRESS)  # episodes of another script's part
    parser.add_argument("--shots", default="1,5")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50, help="of TIM, both ours and theirs; easyfsl's default")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default="bd-cspn,laplacian-shot,pt-map,tim")
    arguments = parser.parse_args()
    hardware = choose_hardware("cpu", "auto", arguments.threads)
    prepare_process(hardware)
    threadpool_limits(hardware.threads)
    chosen = {name: pair for name, pair in pairs(arguments.steps).items() if name in arguments.only.split(",")}
    print(
        conditions(hardware, episodes=arguments.episodes, rounds=arguments.rounds, **{"steps of tim": arguments.steps})
    )
    split, embedding, title = features_of(arguments, hardware)
    print(f"\nFeatures: {title}.\n")
    rows = []
    for k_shot in map(int, arguments.shots.split(",")):
        gathered, truth = gather(split, embedding, k_shot, arguments.episodes)
        for name, (prepare, ours, what, model) in chosen.items():
            episodes = prepare(*gathered)
            seconds, scores = timed(
                {"ours": partial(ours, *episodes, N_WAY), "theirs": partial(one_by_one, model, *episodes)},
                {
                    "ours": partial(ours, *first(episodes), N_WAY),
                    "theirs": partial(one_by_one, model, *first(episodes)),
                },
                arguments.rounds,
                hardware,
            )
            shown = [f"{statistics.median(seconds[side]):.2f}" for side in ("theirs", "ours")]
            accuracies = [f"{100 * hits(scores[side], truth):.2f}" for side in ("theirs", "ours")]
            faster = f"{ratio(seconds['theirs'], seconds['ours']):.0f} ×"
            rows.append((f"{k_shot}-shot", name, what, *shown, faster, *accuracies))
            print(f"{rows[-1]}", file=sys.stderr)
    heads = ("5-way", "classifier", "easyfsl's", "its seconds", "ours", "ratio", "its accuracy %", "ours")
    print(table(heads, rows))


def timed(
    work: dict[str, Callable[[], Tensor]], little: dict[str, Callable[[], Tensor]], rounds: int, hardware: Hardware
) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """Seconds in every round, in turns, and what came out; ``little`` of each is done unmeasured first."""
    clock = clock_of(hardware)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    results = {name: run() for name, run in little.items()}
    for _ in range(rounds):
        for name, run in work.items():
            began = clock()
            results[name] = run()
            seconds[name].append(clock() - began)
    return seconds, results


def gather(split, embedding, k_shot: int, n_episodes: int) -> tuple[Episodes, Tensor]:
    """Support, labels and query features of all episodes, and the queries' labels (E, Q), as classifiers meet them."""
    parts: list[Episodes] = []

    def note(support: Tensor, labels: Tensor, query: Tensor, n_way: int) -> Tensor:
        parts.append((support.clone(), labels.clone(), query.clone()))
        return query.new_zeros(*query.shape[:2], n_way)

    episodes = sampled(split, N_WAY, k_shot, n_episodes)
    score(embedding, episodes, 1, note)
    together = tuple(torch.cat(each) for each in zip(*parts, strict=True))
    return together, torch.from_numpy(shuffled_queries(episodes)[1])  # type: ignore[return-value]


def first(episodes: Episodes) -> Episodes:
    return tuple(each[:2] for each in episodes)  # type: ignore[return-value]


def hits(scores: Tensor, truth: Tensor) -> float:
    return float((scores.argmax(dim=2) == truth).double().mean())


# ── easyfsl's classes ─────────────────────────────────────────────────────────────────────────────


def one_by_one(model: torch.nn.Module, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Scores (E, Q, n_way), an episode after the other. Only TIM needs gradients, and asks for them itself."""
    scores = []
    with torch.no_grad():
        for episode in zip(support, labels, query, strict=True):
            model.process_support_set(*episode[:2])
            scores.append(model(episode[2]))
    return torch.stack(scores)


class ShiftedBdCspn(theirs.BDCSPN):
    """Scores the shifted queries, by which it has rectified the class means."""

    def forward(self, query_images: Tensor) -> Tensor:
        self.rectify_prototypes(query_images)
        shift = self.support_features.mean(dim=0) - query_images.mean(dim=0)
        return self.cosine_distance_to_prototypes(query_images + shift)


class EuclideanTim(theirs.TIM):
    """With the paper's squared distances in place of cosines."""

    def cosine_distance_to_prototypes(self, samples: Tensor) -> Tensor:
        return -torch.cdist(samples, self.prototypes).square() / 2


class PreparedPtMap(theirs.PTMAP):
    """Takes features as they come, after the power transform, centring and unit length; it lacks the last two."""

    def compute_features(self, images: Tensor) -> Tensor:
        return images


class PlainLaplacianShot(theirs.LaplacianShot):
    """With the supports' class means, since it has another rectification than the paper's code."""

    def rectify_prototypes(self, query_features: Tensor) -> None:
        return


def pairs(steps: int) -> dict[str, tuple[Callable[..., Episodes], Classify, str, torch.nn.Module]]:
    """Of each: how its features are prepared, ours, a name of theirs, theirs; with the same values."""

    def as_unit(support: Tensor, labels: Tensor, query: Tensor) -> Episodes:
        return unit(support), labels, unit(query)

    def transformed(support: Tensor, labels: Tensor, query: Tensor) -> Episodes:
        support, query = (unit(each.sqrt()) for each in (support, query))
        support, query = (unit(each - each.mean(dim=1, keepdim=True)) for each in (support, query))
        return support, labels, query

    values = {"cross_entropy_weight": 0.1, "conditional_entropy_weight": 0.1, "temperature": 15.0}
    return {
        "bd-cspn": (as_unit, partial(bd_cspn, sharpness=1.0), "BDCSPN, shifted queries", ShiftedBdCspn()),
        "laplacian-shot": (
            as_unit,
            partial(laplacian_shot, rectified=False),
            "LaplacianShot, supports' means",
            PlainLaplacianShot(),
        ),
        "pt-map": (
            transformed,
            partial(pt_map, centred=False),
            "PTMAP, prepared features",
            PreparedPtMap(fine_tuning_steps=20),
        ),
        "tim": (
            as_unit,
            partial(tim, steps=steps),
            "TIM, squared distances",
            EuclideanTim(fine_tuning_steps=steps, **values),
        ),
    }


if __name__ == "__main__":
    main()

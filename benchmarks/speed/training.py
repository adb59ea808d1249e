"""How fast conv4 and resnet12 train here, in which settings, and what the harness adds to a bare loop.

    python benchmarks/speed/training.py                       # about four minutes on two processor cores
    python benchmarks/speed/training.py --compile             # with torch.compile beside it

Batches of 64 images of 32×32, forward, backward and SGD. Prints markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from measuring import conditions, matrix_peak, ratio, synchronise, table, timed_in_turns
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.contract.backbones import BackboneRequest
from harness.contract.data import Augmentation, DatasetSpec, Split
from harness.contract.methods import BuildContext
from harness.contract.options import MethodOptions, TrainingOptions
from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.process import prepare_process
from harness.networks.backbones import SPECS
from harness.networks.learners import ClassifierNetwork

SIZE, N_CLASSES, BATCH = 32, 64, 64
DATASET = DatasetSpec(
    "synthetic", "noise", SIZE, lambda request: None, augmentation=Augmentation(crop_padding=4, jitter=0.4, flip=True)
)
STEPS = {"cpu": {"conv4": 60, "resnet12": 6}, "cuda": {"conv4": 500, "resnet12": 200}}  # a measurement


def build(backbone: str) -> ClassifierNetwork:
    """The network that a method trains, from the same weights each time."""
    spec = next(spec for spec in SPECS if spec.name == backbone)
    torch.manual_seed(0)
    return ClassifierNetwork(
        BuildContext(DATASET, N_CLASSES, MethodOptions(), lambda: spec.build(BackboneRequest(SIZE)))
    ).train()


def bare_step(
    backbone: str,
    hardware: Hardware,
    channels_last: bool = True,
    fused: bool = True,
    compiled: bool = False,
    batch: int = BATCH,
) -> Callable[[], None]:
    """A training step written by hand, on a batch that lies ready on the device."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = build(backbone).to(hardware.device, memory_format=layout)
    images = torch.randn(batch, 3, SIZE, SIZE, device=hardware.device).contiguous(memory_format=layout)
    labels = torch.randint(0, N_CLASSES, (batch,), device=hardware.device)
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=fused)
    forward: Callable[..., tuple[torch.Tensor, torch.Tensor]] = torch.compile(network) if compiled else network

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with hardware.autocast():
            loss = F.cross_entropy(forward(images)[1], labels)
        loss.backward()
        optimiser.step()

    return step


def repeated(step: Callable[[], None], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            step()

    return run


def trainer_run(backbone: str, hardware: Hardware, steps: int) -> Callable[[], None]:
    """As many steps by the harness's own loop: data fetched, augmented, losses added up, progress reported."""
    from harness.training.trainer import Trainer

    generator = np.random.default_rng(0)
    n = steps * BATCH
    split = Split(
        "train",
        generator.integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8),
        generator.integers(0, N_CLASSES, n),
        tuple(map(str, range(N_CLASSES))),
        "noise",
    )
    options = TrainingOptions(epochs=1, batch_size=BATCH, schedule="constant")
    network = build(backbone)

    def loss(wrapped, batch):
        return {"loss": F.cross_entropy(wrapped(batch.images)[1], batch.labels)}

    def run() -> None:
        Trainer(split, DATASET, hardware, seed=0).run(network, loss, options.recipe())

    return run


def flops_an_image(backbone: str, hardware: Hardware) -> float:
    """FLOP of forward and backward, counted by torch in convolutions and matrix products."""
    step = bare_step(backbone, hardware)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / BATCH


def rate(seconds: list[float], steps: int) -> str:
    return f"{BATCH * steps / statistics.median(seconds):,.0f}"


# ── the three measurements ────────────────────────────────────────────────────────────────────────


def against_bare_loop(backbones: list[str], hardware: Hardware, rounds: int) -> str:
    """Trainer and bare loop in turns, with the share of the matrix-product peak that the trainer reaches."""
    peak = matrix_peak(hardware, hardware.precision)
    rows = []
    for backbone in backbones:
        steps = STEPS[hardware.device.partition(":")[0]][backbone]
        work = {
            "bare": repeated(bare_step(backbone, hardware), steps),
            "trainer": trainer_run(backbone, hardware, steps),
        }
        seconds = timed_in_turns(work, rounds, hardware)
        reached = flops_an_image(backbone, hardware) * BATCH * steps / statistics.median(seconds["trainer"])
        speed = ratio(seconds["bare"], seconds["trainer"])
        rows.append(
            (
                backbone,
                rate(seconds["bare"], steps),
                rate(seconds["trainer"], steps),
                f"{100 * speed:.1f} %",
                f"{reached / 1e9:,.0f} GFLOP/s, {100 * reached / peak:.0f} % of {peak / 1e9:,.0f}",
            )
        )
    headers = ("backbone", "bare loop, images/s", "harness, images/s", "harness / bare", "of the matrix-product peak")
    return table(headers, rows)


def settings(backbones: list[str], hardware: Hardware, rounds: int, compiled: bool) -> str:
    """The bare loop by precision, memory format, optimiser and compiler, in turns."""
    rows = []
    for backbone in backbones:
        steps = max(1, STEPS[hardware.device.partition(":")[0]][backbone] // 6)
        work: dict[str, Callable[[], None]] = {}
        for precision in ("32", "bf16"):
            chosen = replace(hardware, precision=precision)
            work[f"{precision}, NCHW"] = repeated(bare_step(backbone, chosen, channels_last=False), steps)
            work[f"{precision}, channels_last"] = repeated(bare_step(backbone, chosen), steps)
            if compiled:
                work[f"{precision}, channels_last, compiled"] = repeated(
                    bare_step(backbone, chosen, compiled=True), steps
                )
        work["bf16, channels_last, optimiser not fused"] = repeated(bare_step(backbone, chosen, fused=False), steps)
        seconds = timed_in_turns(work, rounds, hardware)
        base = seconds["32, NCHW"]
        rows += [(backbone, name, rate(s, steps), f"{ratio(base, s):.2f}") for name, s in seconds.items()]
    return table(("backbone", "settings", "images/s", "times 32, NCHW"), rows)


def allocator(backbones: list[str], threads: str, rounds: int) -> str:
    """The same work in processes with and without ``tune_allocator``, in turns."""
    found: dict[str, dict[str, list[float]]] = {"as it comes": {}, "tuned": {}}
    for _ in range(rounds):
        for name, collected in found.items():
            command = [sys.executable, __file__, "--child", name, "--threads", threads, "--backbones", *backbones]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for what, speed in json.loads(output).items():
                collected.setdefault(what, []).append(speed)
    plain, tuned = found["as it comes"], found["tuned"]
    rows = [
        (
            what,
            f"{statistics.median(plain[what]):,.0f}",
            f"{statistics.median(tuned[what]):,.0f}",
            f"{ratio(tuned[what], plain[what]):.2f}",
        )
        for what in plain
    ]
    return table(("work", "as it comes, images/s", "tuned, images/s", "times"), rows)


def allocator_child(backbones: list[str], hardware: Hardware) -> dict[str, float]:
    """Images a second of training (batch 64) and of embedding (batch 512), in this process."""
    speeds = {}
    for backbone in backbones:
        steps = max(1, STEPS["cpu"][backbone] // 3)
        network = build(backbone).eval().to(memory_format=torch.channels_last)
        images = torch.randint(0, 256, (512, SIZE, SIZE, 3), dtype=torch.uint8)

        def embed(network: nn.Module = network, images: torch.Tensor = images) -> None:
            with torch.inference_mode(), hardware.autocast():
                network.embed(images)

        work = {"training": repeated(bare_step(backbone, hardware), steps), "embedding": embed}
        seconds = timed_in_turns(work, 3, hardware)
        speeds[f"{backbone}, training"] = BATCH * steps / statistics.median(seconds["training"])
        speeds[f"{backbone}, embedding"] = 512 / statistics.median(seconds["embedding"])
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--backbones", nargs="+", default=["conv4", "resnet12"], choices=["conv4", "resnet12"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too: needs a C++ compiler")
    parser.add_argument("--only", choices=["bare", "settings", "allocator"], help="one of the three measurements")
    parser.add_argument("--child", choices=["as it comes", "tuned"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    hardware = choose_hardware(arguments.device, arguments.precision, arguments.threads)
    if arguments.child == "as it comes":
        torch.set_num_threads(hardware.threads)
    else:
        prepare_process(hardware)
    if arguments.child:
        print(json.dumps(allocator_child(arguments.backbones, hardware)))
        return
    print(conditions(hardware, batch=BATCH, image=f"{SIZE}×{SIZE}", rounds=arguments.rounds), end="\n\n", flush=True)
    if arguments.only in (None, "bare"):
        print("## The harness and a bare loop\n\n" + against_bare_loop(arguments.backbones, hardware, arguments.rounds))
    if arguments.only in (None, "settings"):
        print("## Settings\n\n" + settings(arguments.backbones, hardware, arguments.rounds, arguments.compile))
    if arguments.only in (None, "allocator") and hardware.device == "cpu":
        print("## The allocator\n\n" + allocator(arguments.backbones, str(hardware.threads), 2))
    synchronise(hardware)


if __name__ == "__main__":
    main()

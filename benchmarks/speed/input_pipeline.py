"""What the input pipeline costs: batches augmented at once, beside per-image transforms, as a share of training.

    python benchmarks/speed/input_pipeline.py

Trains conv4 (forward, backward and SGD on batches of 64 images of 32×32) behind each pipeline in turn: crop with
padding 4, colour jitter 0.4 of three kinds, flip, normalisation. The pipeline is timed where it runs, between two
steps that have swept the caches. Prints markdown.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from measuring import clock_of, conditions, synchronise, table
from PIL import Image
from torch import nn
from torchvision.transforms import ColorJitter, Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToTensor, v2

from harness.contract.backbones import BackboneRequest
from harness.contract.data import Augmentation
from harness.hardware.hardware import Hardware, choose_hardware
from harness.hardware.process import prepare_process
from harness.images.augment import Augmenter
from harness.networks.backbones import SPECS

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
SIZE, N_CLASSES, STEPS = 32, 64, 8


Batches = list[tuple[torch.Tensor, torch.Tensor]]


def training_step(hardware: Hardware) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """conv4's forward, backward and update."""
    conv4 = next(spec for spec in SPECS if spec.name == "conv4").build(BackboneRequest(SIZE))
    network = nn.Sequential(conv4, nn.Linear(256, N_CLASSES)).to(hardware.device, memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        with hardware.autocast():
            loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()

    return step


def pipelines(batches: Batches, hardware: Hardware) -> dict[str, Callable[[], Iterator]]:
    """The same work by four ways: iterators over augmented images and labels."""
    augmenter = Augmenter(Augmentation(crop_padding=4, jitter=0.4, flip=True), MEAN, STD)
    generator = torch.Generator(hardware.device).manual_seed(0)
    on_device = [(images.to(hardware.device), labels.to(hardware.device)) for images, labels in batches]
    pictures = [[Image.fromarray(image.numpy()) for image in images] for images, _ in batches]
    changes = (RandomCrop(SIZE, padding=4), ColorJitter(0.4, 0.4, 0.4), RandomHorizontalFlip())
    pil = Compose([*changes, ToTensor(), Normalize(MEAN, STD)])
    v2_changes = (v2.RandomCrop(SIZE, padding=4), v2.ColorJitter(0.4, 0.4, 0.4), v2.RandomHorizontalFlip())
    of_tensor = v2.Compose([*v2_changes, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])

    def stream() -> Iterator:
        n = sum(len(labels) for _, labels in on_device)
        return augmenter.stream(on_device, augmenter.draw(n, generator))

    def batched() -> Iterator:
        return ((augmenter.apply(x, augmenter.draw(len(x), generator)), y) for x, y in on_device)

    def by_pil() -> Iterator:
        for row, (_, labels) in zip(pictures, on_device, strict=True):
            yield torch.stack([pil(picture) for picture in row]).to(hardware.device), labels

    def by_v2() -> Iterator:
        for (images, _), (_, labels) in zip(batches, on_device, strict=True):
            planes = images.permute(0, 3, 1, 2)
            yield torch.stack([of_tensor(image) for image in planes]).to(hardware.device), labels

    return {
        "harness, some batches at once": stream,
        "harness, a batch at once": batched,
        "PIL transforms, an image at a time": by_pil,
        "torchvision v2, an image at a time": by_v2,
    }


def cost(pipeline: Callable[[], Iterator], step: Callable[..., None], hardware: Hardware) -> tuple[float, float]:
    """Seconds spent in the pipeline and in training steps."""
    clock = clock_of(hardware)
    in_pipeline = in_steps = 0.0
    synchronise(hardware)
    began = clock()
    for images, labels in pipeline():
        synchronise(hardware)
        ready = clock()
        step(images, labels)
        synchronise(hardware)
        done = clock()
        in_pipeline, in_steps, began = in_pipeline + ready - began, in_steps + done - ready, done
    return in_pipeline, in_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    hardware = choose_hardware(arguments.device, arguments.precision, arguments.threads)
    prepare_process(hardware)
    n = arguments.batch_size
    shape = (n, SIZE, SIZE, 3)
    batches = [
        (torch.randint(0, 256, shape, dtype=torch.uint8), torch.randint(0, N_CLASSES, (n,))) for _ in range(STEPS)
    ]
    print(conditions(hardware, batch=n, image=f"{SIZE}×{SIZE}", steps=STEPS, rounds=arguments.rounds), end="\n\n")
    step, ways = training_step(hardware), pipelines(batches, hardware)
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(1 + arguments.rounds):  # the first is to warm up
        for name, pipeline in ways.items():
            seconds = cost(pipeline, step, hardware)
            if turn:
                costs[name].append(seconds)
    rows = []
    for name, both in costs.items():
        rate = n * STEPS / statistics.median(pipeline for pipeline, _ in both)
        trained = n * STEPS / statistics.median(steps for _, steps in both)
        share = statistics.median(pipeline / (pipeline + steps) for pipeline, steps in both)
        rows.append((name, f"{rate:,.0f}", f"{trained:,.0f}", f"{100 * share:.1f} %"))
    print(table(("pipeline", "its images/s", "training steps', images/s", "its share of the time"), rows))


if __name__ == "__main__":
    main()

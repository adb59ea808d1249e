"""What the input pipeline costs: a batch augmented at once, beside per-image transforms, as a share of a training step.

    python benchmarks/speed/input_pipeline.py

The step is conv4's forward, backward and SGD on a batch of 64 images of 32×32; the pipeline is crop with padding 4,
colour jitter 0.4 of three kinds, flip and normalisation. Prints markdown.
"""

from __future__ import annotations

import argparse
import statistics

import torch
import torch.nn.functional as F
import torchvision.transforms as per_image
import torchvision.transforms.v2 as per_sample
from measuring import conditions, ratio, table, timed_in_turns
from PIL import Image
from torch import nn

from harness.augment import Augmenter
from harness.backbones import SPECS
from harness.hardware import Hardware, choose_hardware, prepare_process
from harness.types import Augmentation, BackboneRequest

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
SIZE = 32


def training_step(batch_size: int, hardware: Hardware):
    """conv4's forward, backward and update on a batch that lies ready."""
    conv4 = next(spec for spec in SPECS if spec.name == "conv4").build(BackboneRequest(SIZE))
    network = nn.Sequential(conv4, nn.Linear(256, 64)).to(hardware.device, memory_format=torch.channels_last)
    images = torch.randn(batch_size, 3, SIZE, SIZE, device=hardware.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 64, (batch_size,), device=hardware.device)
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with hardware.autocast():
            loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()

    return step


def pipelines(batch_size: int, hardware: Hardware):
    """The same work by four ways, each on a batch of uint8 images."""
    images = torch.randint(0, 256, (batch_size, SIZE, SIZE, 3), dtype=torch.uint8)
    on_device = images.to(hardware.device)
    pictures = [Image.fromarray(image.numpy()) for image in images]
    planes = images.permute(0, 3, 1, 2)
    augmenter = Augmenter(Augmentation(crop_padding=4, jitter=0.4, flip=True), MEAN, STD)
    generator = torch.Generator(hardware.device).manual_seed(0)
    pil = per_image.Compose(
        [
            per_image.RandomCrop(SIZE, padding=4),
            per_image.ColorJitter(0.4, 0.4, 0.4),
            per_image.RandomHorizontalFlip(),
            per_image.ToTensor(),
            per_image.Normalize(MEAN, STD),
        ]
    )
    v2 = per_sample.Compose(
        [
            per_sample.RandomCrop(SIZE, padding=4),
            per_sample.ColorJitter(0.4, 0.4, 0.4),
            per_sample.RandomHorizontalFlip(),
            per_sample.ToDtype(torch.float32, scale=True),
            per_sample.Normalize(MEAN, STD),
        ]
    )

    def batched() -> torch.Tensor:
        return augmenter.apply(on_device, augmenter.draw(batch_size, generator))

    def by_pil() -> torch.Tensor:
        return torch.stack([pil(picture) for picture in pictures]).to(hardware.device)

    def by_v2() -> torch.Tensor:
        return torch.stack([v2(image) for image in planes]).to(hardware.device)

    return {
        "harness, a batch at once": batched,
        "PIL transforms, an image at a time": by_pil,
        "torchvision v2, an image at a time": by_v2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    hardware = choose_hardware(arguments.device, arguments.precision)
    prepare_process(hardware)
    n = arguments.batch_size
    print(conditions(hardware, batch=n, image=f"{SIZE}×{SIZE}", rounds=arguments.rounds), end="\n\n")
    seconds = timed_in_turns(
        {"conv4 training step": training_step(n, hardware), **pipelines(n, hardware)}, arguments.rounds, hardware
    )
    step = seconds["conv4 training step"]
    rows = [
        (name, f"{n / statistics.median(times):,.0f}", f"{100 * ratio(times, step):.1f} %")
        for name, times in seconds.items()
    ]
    print(table(("work", "images/s", "time, of a training step"), rows))


if __name__ == "__main__":
    main()

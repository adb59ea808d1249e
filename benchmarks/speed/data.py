"""How long preparing data takes, and how much memory: a table on standard output.

    python benchmarks/speed/data.py --cifar cifar-fs.zip --work /tmp/speed

Makes a synthetic tieredImageNet (60,000 images of 84×84, 1.3 GB) in three of its forms, prepares each in a process of
its own and watches that process from outside: "peak" is its largest RssAnon (anonymous memory, which no other process
can share and the system cannot drop) less what it had before the work began. Then one epoch of shuffled batches is
read from the prepared images and, with ``--train``, trained on with conv4, which is then scored on 5 episodes of
either kind. Linux only (reads /proc).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.datasets.preparing.classes import SPLITS, ListedClass, published
from harness.hardware.hardware import device_name

FORMS = ("npz", "png-pickle", "folder")
SIZE = 84


@dataclass
class Measured:
    seconds: float
    peak: float  # MB of RssAnon above the process before the work
    before: float  # MB


def measure(*task: str) -> Measured:
    """Run ``task`` of this file in a new process, watched from outside."""
    with subprocess.Popen([sys.executable, __file__, "--task", *task], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{' '.join(task)} did not start")
        started, before, peak = time.perf_counter(), rss_anon(process.pid), 0.0
        while process.poll() is None:
            peak = max(peak, rss_anon(process.pid))
            time.sleep(0.01)
        seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(task)} failed")
    return Measured(seconds, peak - before, before)


def rss_anon(pid: int) -> float:
    """MB."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


# ── the synthetic sources ─────────────────────────────────────────────────────────────────────────


def members(images: int) -> Iterator[tuple[ListedClass, int]]:
    """Each class of tieredImageNet with its number of images, ``images`` in all."""
    classes = published("tieredImageNet").classes
    for place, each in enumerate(classes):
        yield each, images // len(classes) + (place < images % len(classes))


def pictures(seed: int, count: int) -> np.ndarray:
    """(count, 84, 84, 3) uint8: smooth shapes with a little noise, so that PNG files have a natural size."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 7, 7, 3)).astype(np.float32)
    smooth = coarse.repeat(12, axis=1).repeat(12, axis=2)
    return np.clip(smooth + rng.integers(-12, 12, smooth.shape), 0, 255).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def make(form: str, folder: Path, images: int) -> None:
    """Write the source of ``form``, a class at a time."""
    import pickle
    import zipfile

    folder.mkdir(parents=True)
    groups = {split: [(c, n) for c, n in members(images) if c.split == split] for split in SPLITS}
    for split, classes in groups.items():
        numbers = {name: place for place, name in enumerate(sorted(each.name for each, _ in classes))}
        labels = [numbers[each.name] for each, count in classes for _ in range(count)]
        if form == "folder":
            for each, count in classes:
                (folder / each.name).mkdir()
                for number, image in enumerate(pictures(int(each.name[1:]), count)):
                    (folder / each.name / f"{number}.png").write_bytes(png(image))
            continue
        with (folder / f"{split}_labels.pkl").open("wb") as file:
            pickle.dump({"labels": labels}, file, protocol=2)
        if form == "npz":
            with (
                zipfile.ZipFile(folder / f"{split}_images.npz", "w") as archive,
                archive.open("images.npy", "w", force_zip64=True) as member,
            ):
                shape = (len(labels), SIZE, SIZE, 3)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for each, count in classes:
                    member.write(pictures(int(each.name[1:]), count).tobytes())
        else:
            with (folder / f"{split}_images_png.pkl").open("wb") as file:
                pngs = [
                    np.frombuffer(png(image), np.uint8)
                    for each, count in classes
                    for image in pictures(int(each.name[1:]), count)
                ]
                pickle.dump(pngs, file, protocol=2)


# ── what is measured, each in a process of its own ────────────────────────────────────────────────


def task(name: str, *arguments: str) -> None:
    if name == "make":
        print("ready", flush=True)
        make(arguments[0], Path(arguments[1]), int(arguments[2]))
    elif name == "prepare":
        import PIL.Image

        from harness.datasets import SPECS
        from harness.datasets.preparing import prepare
        from harness.datasets.preparing.forms import (
            class_folders,  # noqa: F401
        )

        PIL.Image.init()
        spec = next(spec for spec in SPECS if spec.name == arguments[0])
        assert spec.prepare is not None
        print("ready", flush=True)
        spec.prepare(prepare.PrepareRequest(Path(arguments[2]), Path(arguments[1]), replace=True))
    elif name == "read":
        import torch

        from harness.contract.batches import ShuffledBatches
        from harness.contract.data import DataRequest
        from harness.datasets import SPECS, open_dataset
        from harness.training.feed import ImageFeed

        spec = next(spec for spec in SPECS if spec.name == arguments[0])
        train = open_dataset(spec, DataRequest(Path(arguments[1]))).train
        assert train is not None
        print("ready", flush=True)
        steps = ShuffledBatches(64).epoch(train, np.random.default_rng(0))
        for _ in ImageFeed(train, torch.device("cpu"))(steps):
            pass
    elif name == "train":
        import harness.execution.preload  # noqa: F401 (what a worker is born with)
        from harness.cli.main import main

        print("ready", flush=True)
        sys.stdout = sys.stderr
        root, runs, images = arguments
        flags = (
            "--methods rfs --set rfs.generations=0 --no-floors --dataset tieredImageNet --backbone conv4 "
            f"--budget images={images} --queries 1 --views 1 --episodes 5 --executor inline"
        )
        if main(["bench", *flags.split(), "--data-root", root, "--output", runs]):
            raise SystemExit(1)


def fingerprint(root: Path) -> str:
    from harness.contract.data import DataRequest
    from harness.datasets import SPECS, open_dataset

    spec = next(spec for spec in SPECS if spec.name == "tieredImageNet")
    return open_dataset(spec, DataRequest(root)).fingerprint


def opening(root: Path, dataset: str) -> float:
    """Median seconds of opening a prepared dataset."""
    from harness.contract.data import DataRequest
    from harness.datasets import SPECS, open_dataset

    spec = next(spec for spec in SPECS if spec.name == dataset)
    times = []
    for _ in range(11):
        started = time.perf_counter()
        open_dataset(spec, DataRequest(root))
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def row(what: str, images: int, found: Measured) -> None:
    print(f"| {what} | {found.seconds:.1f} | {images / found.seconds:,.0f} | {found.peak:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/harness-speed-data"), help="a folder for 6 GB")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--cifar", type=Path, help="CIFAR-FS as its authors ship it")
    parser.add_argument("--train", action="store_true", help="also train conv4 for an epoch from each form")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"Conditions: {device_name('cpu')}, {cores} cores, Python {platform.python_version()}, one run.\n")
    print("| what | s | images/s | peak RssAnon above the bare process, MB |\n|---|---|---|---|")
    work = arguments.work
    if arguments.cifar:
        root = str(work / "cifar-root")
        found = measure("prepare", "CIFAR-FS", str(arguments.cifar), root)
        row("prepare CIFAR-FS from PNG files in a zip", 60_000, found)
        print(f"| open CIFAR-FS | {opening(Path(root), 'CIFAR-FS'):.4f} | | |")
    prints = set()
    n_train = sum(count for each, count in members(arguments.images) if each.split == "train")
    for form in arguments.forms.split(","):
        source, root = work / form, work / f"root-{form}"
        if not source.exists():
            half = work / f"{form}.partial"
            shutil.rmtree(half, ignore_errors=True)
            measure("make", form, str(half), str(arguments.images))
            half.rename(source)
        found = measure("prepare", "tieredImageNet", str(source), str(root))
        row(f"prepare a synthetic tieredImageNet, {form}", arguments.images, found)
        prints.add(fingerprint(root))
        if arguments.train:
            runs = work / f"runs-{form}"
            shutil.rmtree(runs, ignore_errors=True)
            found = measure("train", str(root), str(runs), str(n_train))
            row(f"train conv4 on its base classes for an epoch in batches of 64, {form}", n_train, found)
    print(f"| open the synthetic tieredImageNet | {opening(root, 'tieredImageNet'):.4f} | | |")
    row("read one epoch in shuffled batches of 64", n_train, measure("read", "tieredImageNet", str(root)))
    print(f"\nfingerprints: {'equal in all forms' if len(prints) == 1 else prints}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--task"]:
        task(*sys.argv[2:])
    else:
        main()

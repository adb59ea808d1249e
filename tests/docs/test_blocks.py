"""Every block and command of the documents does what it says: it is run, executed, read or looked up."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import harness
from tests.helpers.command_lines import ROOT
from tests.helpers.reader import Reader
from tests.helpers.world import HERE, SMALL, living_in

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "plugins/*/README.md")
    for path in sorted(ROOT.glob(pattern))
}

# What cannot be run here, by page and beginning, with the reason. Of commands the flags are checked all the same.
UNTRIED = {
    ("docs/datasets.md", "harness data prepare CIFAR-FS --download"): "a download",
    ("docs/adding_a_dataset.md", "harness data prepare birds"): "birds are prepared in tests/datasets/test_docs.py",
    ("docs/datasets.md", "photos/train/cat/1.jpg"): "three arrangements of one folder: tests/datasets/test_folder.py",
    ("docs/architecture.md", "dataset ─ split"): "a drawing",
    ("docs/statistics.md", "estimate     c′β̂"): "a formula",
    ("docs/statistics.md", "model        yₑ"): "a formula",
    ("docs/statistics.md", "of seeds       v₁"): "a formula",
    ("docs/statistics.md", "p = max{"): "a formula",
    ("docs/statistics.md", "σ²_seed / S"): "a formula",
}

# What documents leave open, a regular expression, and what stands there here; {first} and {last} are benches of runs.
WORDS = {
    r"\b2b44\b": "{last}",
    r"\b7acd\b": "{first}",
    r"--bench ID --bench ID": "--bench {last} --bench {first}",
    r"\bID\b": "{last}",
    r"\bRUNS1 RUNS2\b": "runs other-runs",
    r"\bRUNS?\b": "runs",
    r"\bROW\b": "rfs/simple",
    r"\bFOLDER\b": "other-runs",
    r"harness methods NAME": "harness methods rfs",
    r"harness datasets NAME": "harness datasets CIFAR-FS",
    r"harness data info NAME --preview FILE": "harness data info CIFAR-FS --preview sheet.png",
    r"plugins/NAME": "plugins/rfs",
    r"\bfile=FILE\b": "file=clip.npz",
    r"--methods mine\b": "--methods mine=simpleshot",
    r"folder:photos --image-size": "folder:divided --image-size",
    r"DATA_ROOT": "data",
    r"skd-CIFAR-FS-0433b15be706": "skd-CIFAR-FS-…",
    r"harness tune skd --set": "harness tune skd --dataset CIFAR-FS --set",
    r"--executor ray": "--executor inline",  # a cluster takes seconds to start: tests/execution/test_ray.py
    r'seeds=range\(3\), (baseline="rfs/simple")': r'seeds=range(2), \1, rows=["rfs/simple", "skd/*"], **HERE',
}
FLAGS = " ".join(f"--{name} {value}" for name, value in SMALL.items())
BEFORE = {
    "bench": f"{FLAGS} --views 1",
    "tune": FLAGS,
    "evaluate": "--device cpu --threads 1",
    "classify": "--device cpu",
}
BEHIND = {
    "bench": "--dry-run",
    "evaluate": "--dry-run",
    "tune": "--trials 1 --executor inline",
    "runs reproduce": "--seed 0 --executor inline",
    "check": "--set images=256",
}
NAMES = {
    "HERE": HERE,
    "images": np.zeros((3, 32, 32, 3), np.uint8),
    "features": torch.zeros(4, 8),
    "embed": lambda images: np.zeros((len(images), 8)),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("world")
    with living_in(folder):
        yield folder


@pytest.fixture
def reader(world: Path, tmp_path: Path) -> Iterator[Reader]:
    """One who reads in a folder of their own, which holds the world, its run folder as a copy."""
    for path in (*world.iterdir(), ROOT / "benchmarks"):
        if path.name != "runs":
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(world / "runs", tmp_path / "runs")
    first, last = (record.id for record in harness.load_benches(tmp_path / "runs"))
    words = {pattern: text.replace("{first}", first).replace("{last}", last) for pattern, text in WORDS.items()}
    reader = Reader(tmp_path, words, NAMES, BEFORE, BEHIND)
    yield reader
    reader.leave()


@pytest.mark.learn2learn
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, reader: Reader) -> None:
    reader.untried = tuple(start for of, start in UNTRIED if of == page)
    mistakes = reader.read(PAGES[page])
    assert not mistakes, "\n".join(mistakes)
    assert reader.met == {*reader.untried}


def test_what_stands_for_what_documents_leave_open_is_needed() -> None:
    everything = "\n".join(PAGES.values())
    assert [pattern for pattern in WORDS if not re.search(pattern, everything)] == []
    assert [page for page, _ in UNTRIED if page not in PAGES] == []


# ── a document that is wrong ──────────────────────────────────────────────────────────────────────


@pytest.mark.learn2learn
@pytest.mark.parametrize(
    ("page", "right", "wrong", "message"),
    [
        ("plugins/rfs/README.md", "--methods rfs --dataset", "--method rfs --dataset", "No such option: --method"),
        ("plugins/rfs/README.md", "--dataset CIFAR-FS ", "--dataset CIFAR-SF ", "Did you mean 'CIFAR-FS'?"),
        ("plugins/graph/README.md", "paper-5-shot --shots", "paper-5 --shots", "unknown preset of egnn"),
        ("docs/index.md", "    harness bench", "    harnes bench", "begins neither commands nor Python nor TOML"),
        ("docs/own_images.md", "--row rfs/simple", "--row rfs/simpel", "Did you mean 'rfs/simple'?"),
        ("docs/own_images.md", "examples/finch/2.jpg", "examples/finch/3.jpg", "there is no examples/finch/3.jpg"),
        ("docs/machines.md", "    threads = 4", "    thread = 4", "Did you mean 'threads'?"),
        ("docs/machines.md", "stage          seeds    what", "stage          seed     what", "was not printed"),
        ("docs/machines.md", "plugins/trackers[tensorboard]", "plugins/trackers[board]", "no extra board"),
        ("docs/adding_a_dataset.md", "harness.Augmentation", "harness.Augmenter", "AttributeError"),
        ("docs/reports.md", "import build_report, frame", "import build_reports, frame", "ImportError"),
        ("plugins/features/README.md", "test_labels.npy", "test_label.npy", "FileNotFoundError"),
        ("CONTRIBUTING.md", "tox run -e types", "tox run -e type", "tox.ini has no environment type"),
        ("CONTRIBUTING.md", "bash .ci/run", "bash .ci/runs", "there is no .ci/runs"),
        ("README.md", "python -m venv .venv && ", "python -m venv .venv &&& ", "syntax error"),
    ],
)
def test_what_is_wrong_is_found(page: str, right: str, wrong: str, message: str, reader: Reader) -> None:
    [section, *_] = [part for part in re.split(r"^(?=## )", PAGES[page], flags=re.MULTILINE) if right in part]
    assert message in "\n".join(reader.read(section.replace(right, wrong)))

"""What many tests share: tiny datasets, a catalogue, and benches on them. Nothing here stands in for the harness."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from harness.contract.data import Augmentation, DataRequest, Dataset, DatasetSpec, Split, SplitName

# A failure is to be the change's, not the day's: every run meets the same examples, and a slow machine fails none.
# HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def make_split(name: SplitName, n_classes: int, n_images: int, size: int = 16, offset: int = 0) -> Split:
    """Classes that differ in colour and stripe width, with noise: easy, but not for a constant."""
    rng = np.random.default_rng([offset, n_classes])
    rows = np.arange(size)
    images = []
    for _ in range(n_classes):
        colour = rng.integers(40, 216, 3)
        stripes = 40 * np.sin(rows / rng.uniform(0.5, 3.0))[:, None, None]
        noise = rng.normal(0, 20, (n_images, size, size, 3))
        images.append(np.clip(colour + stripes + noise, 0, 255).astype(np.uint8))
    labels = np.repeat(np.arange(n_classes), n_images)
    names = tuple(f"class {offset + i}" for i in range(n_classes))
    return Split(name, np.concatenate(images), labels, names, fingerprint=f"{name}-{n_classes}-{n_images}-{size}")


def open_tiny(request: DataRequest) -> Dataset:
    return Dataset(
        TINY,
        make_split("train", 8, 24, offset=0),
        make_split("val", 6, 24, offset=100),
        make_split("test", 7, 30, offset=200),
    )


TINY = DatasetSpec(
    "tiny",
    "striped squares of 16 x 16",
    16,
    open_tiny,
    augmentation=Augmentation(crop_padding=2, jitter=0.2, flip=True),
)


# Files that take longest, the longest first: with pytest-xdist no worker begins one of them when the others are done.
LONGEST = (
    "execution/test_ray.py",
    "testing/test_check.py",
    "cli/test_main.py",
    "execution/test_local.py",
    "cli/test_new.py",
    "datasets/test_prepare.py",
    "bench/test_bench.py",
    "tuning/test_search.py",
    "docs/test_pages.py",
    "api/test_notebook.py",
    "datasets/test_hostile.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    rank = {here / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay together, for they share what they set up; files are begun in their order."""
    if config.option.dist != "load":  # asked for
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of protonet are skipped where its library is not installed, as on Python 3.13."""
    if item.get_closest_marker("learn2learn") and None in map(find_spec, ("learn2learn", "harness_protonet")):
        pytest.skip("learn2learn or harness-protonet is not installed")


@pytest.fixture
def tiny() -> Dataset:
    return open_tiny(DataRequest(Path()))


@pytest.fixture
def plain(tiny: Dataset) -> Dataset:
    """The tiny dataset without augmentation."""
    return replace(tiny, spec=replace(tiny.spec, augmentation=Augmentation()))


@pytest.fixture
def rng() -> np.random.Generator:
    """Each test has its own, so that none depends on which ran before it."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_torch() -> None:
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run beside each other, and threads that wait for a core that another test has only spin."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this test session, so that no test depends on an earlier one; pytest-xdist's workers share it."""
    here = tmp_path_factory.getbasetemp()
    folder = (here.parent if "PYTEST_XDIST_WORKER" in os.environ else here) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(folder))
        yield


class TinyPlugin:
    """A plugin that offers the dataset ``tiny``."""

    from harness.contract.hooks import hookimpl

    @hookimpl
    def harness_datasets(self) -> list[DatasetSpec]:
        return [TINY]


@pytest.fixture
def catalogue() -> Any:
    """All that is installed, and the dataset ``tiny``."""
    from harness.catalogue.catalogue import Catalogue

    found = Catalogue.discover()
    found.add("tiny-plugin", TinyPlugin())
    return found


@pytest.fixture
def run_bench(catalogue: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a small bench in this process: ``run_bench(methods=("rfs",))``. Its run folder is ``tmp_path / "runs"``.

    ``again=True`` scores the stages of the folder's last bench anew.
    """
    from harness.bench.bench import bench
    from harness.contract.plan import BenchPlan
    from harness.execution.factory import make_executor
    from harness.runs import find_bench

    def run(observe: Callable[[Any], None] = lambda event: None, output: Path | None = None, **values: Any) -> Any:
        small = {
            "dataset": ("tiny",),
            "methods": ("rfs",),
            "floors": False,
            "budget": 320,
            "episodes": 20,
            "queries": 5,
            "device": "cpu",
            "precision": "32",
            "threads": 1,
        }
        executor, folder = values.pop("executor", make_executor("inline", catalogue)), output or tmp_path / "runs"
        earlier = find_bench(folder) if values.pop("again", False) else None
        plan = BenchPlan.model_validate({**small, **values})
        return bench(plan, catalogue, executor, folder, tmp_path / "data", observe, earlier)

    return run


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Any]:
    """Make a run folder: ``runs(seeds=(0, 1)).add("rfs/simple", mean=0.6)``."""
    from tests.helpers.reports import Bench

    return lambda **about: Bench(tmp_path / "runs", **about)


@pytest.fixture
def run_tune(catalogue, tmp_path):
    """Run a small search in this process: ``run_tune(BETA, n_trials=3)``."""
    from harness.contract.plan import BenchPlan
    from harness.execution.factory import make_executor
    from harness.tuning.record import Search
    from harness.tuning.search import tune
    from tests.helpers.tuning import SMALL

    def run(space, n_trials=3, observe=lambda event: None, output=None, stage=None, seed=0, at_once=1, **plan):
        search = Search(BenchPlan.model_validate({**SMALL, **plan}), space, stage, seed)
        workers = make_executor("inline", catalogue)
        folder = output or tmp_path / "runs"
        return tune(search, n_trials, catalogue, workers, folder, tmp_path / "data", observe, at_once)

    return run


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a small bench of the pixels, of rfs/simple and of a method that predicts episodes itself."""
    import harness

    folder = tmp_path_factory.mktemp("small") / "runs"
    harness.run_bench(
        ["rfs", "relation"],
        rows=["pixels", "rfs/simple", "relation"],
        budget=320,
        seeds=[3],
        shots=[2],
        episodes=12,
        queries=4,
        device="cpu",
        threads=1,
        precision="32",
        executor="inline",
        output=folder,
        progress=False,
    )
    return folder

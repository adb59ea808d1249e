"""A method trained for seconds, several times, and what that shows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from harness.bench.bench import bench
from harness.catalogue.catalogue import Catalogue
from harness.common.randomness import seeded
from harness.contract.backbones import BackboneRequest
from harness.contract.hooks import hookimpl
from harness.contract.plan import BenchPlan
from harness.contract.results import StageFailure, StageResult
from harness.execution.events import OptionsRead
from harness.execution.work import Work, run_job
from harness.runs import StageFolder
from harness.testing.check import Check, first, tried
from harness.testing.data import tiny_dataset
from harness.testing.outputs import Probe
from harness.testing.watching import Watch, near, read_weights, same
from harness.training.events import EpochDone

if TYPE_CHECKING:
    from harness.contract.data import Dataset
    from harness.contract.methods import MethodSpec
    from harness.execution.executor import Emit, Ready
    from harness.execution.job import StageJob
    from harness.hardware.request import HardwareRequest

IMAGES = 800  # seen by a stage, where the method counts them: the tiny dataset twice, to be stopped in between


class Trial:
    """Benches of one method on one small dataset, and the checks that need them."""

    def __init__(
        self, spec: MethodSpec, dataset: Dataset | None, options: Mapping[str, Any], installed: Catalogue, folder: Path
    ) -> None:
        self._spec = spec
        self._data = dataset or tiny_dataset()
        self._options = options
        self._folder = folder
        self._probe = Probe(self._data, spec.transductive, by_itself=spec.head is None)
        self._watch = Watch(spec, self._data, self._probe)
        plugin = SimpleNamespace(
            harness_datasets=hookimpl(lambda: [self._watch.dataset]),
            harness_backbones=hookimpl(lambda: installed.backbones.values()),
            harness_classifiers=hookimpl(lambda: installed.classifiers.values()),
            harness_transforms=hookimpl(lambda: installed.transforms.values()),
            harness_methods=hookimpl(lambda: [self._watch.watched]),
        )
        for name, function in vars(plugin).items():
            function.__name__ = name
        self._catalogue = Catalogue([("contract", plugin)])

    def checks(self) -> Iterator[Check]:
        """Train with seed 0, check what came of it, then train again: interrupted, and with another seed."""
        with _keep_thread_count():
            trained = tried("every stage trains and is scored", lambda: self._train("first", (0,)))
            yield trained if trained.problem is None else replace(trained, details=self._details)
            if trained.problem is not None:
                return
            watch = self._watch
            yield Check(f"training changes the weights and leaves them finite{self._unmoved()}", first(watch.idle))
            yield Check("training never opens the dataset, test split and all", first(watch.opened))
            yield Check("it leaves global random generators and torch's settings alone", first(watch.touched))
            yield Check("training counts the images that its networks see", first(watch.uncounted))
            for job in self._jobs:
                yield Check(f"the options that {job.stage} reads decide it: {self._reading(job)}")
            yield tried("a budget in images is kept", self._budget)
            yield tried("all that it has learned is in the weights", lambda: first(self._reloaded()))
            for claim, problem in self._probe.claims.items():
                yield tried(claim, lambda problem=problem: first(self._check_learners(problem)))  # type: ignore[misc]
            yield tried("the same seed gives the same weights, interrupted too", lambda: first(self._interrupted()))
            if not self._spec.needs_weights:  # what is given is the same whatever the seed
                yield tried("another seed gives other weights", lambda: first(self._other_seed()))

    # ── training ─────────────────────────────────────────────────────────────────────────────────

    def _unmoved(self) -> str:
        """Parameters that training left as they were, for the line of the check."""
        if not self._watch.unmoved:
            return ""
        return f" (but not {'; '.join(self._watch.unmoved)}: no optimiser holds these, or no loss depends on them)"

    def _reading(self, job: StageJob) -> str:
        """What a stage was seen to read, and which other options train it again all the same."""
        seen = self._reads.get(job.stage, frozenset())
        unread = sorted(set(job.identity.options) - seen)
        shown = ", ".join(name for name in job.options if name in seen) or "none"
        if not unread:
            return shown
        return (
            f"{shown} (not read this time: {', '.join(unread)}; another value of one of these trains it again, unless "
            "Stage.reads leaves it out)"
        )

    def _train(self, name: str, seeds: Sequence[int], interrupt: bool = False) -> str | None:
        """Bench the method into a folder of its own; what failed, if anything did."""
        preset = "quick" if "quick" in self._spec.presets else next(iter(self._spec.presets), "")
        test = self._data.test
        plan = BenchPlan(
            methods=(self._spec.name,),
            floors=False,
            dataset=(self._data.spec.name,),
            preset=preset,
            backbone="conv4" if self._spec.uses_backbone else None,
            way=(min(5, test.n_classes) if test else 5,),
            shots=(1,),
            queries=4,
            episodes=6,
            seeds=tuple(seeds),
            device="cpu",
            precision="32",
            threads=1,
            budget=IMAGES,
            weights=self._given_weights() if self._spec.needs_weights else None,
            set={f"{self._spec.name}.{option}": value for option, value in self._options.items()},
        )
        executor = _Executor(self._catalogue, interrupt)
        bench(plan, self._catalogue, executor, self._folder / name, self._folder)
        if name == "first":
            self._jobs, self._reads = executor.jobs, executor.reads
        for job, outcome in executor.outcomes:
            if isinstance(outcome, StageFailure):
                self._details = outcome.details
                return f"{job.stage}: {outcome.error}"
        return None

    _jobs: Sequence[StageJob] = ()
    _reads: Mapping[str, frozenset[str]] = {}
    _details = ""

    def _given_weights(self) -> str:
        """A file of weights for the backbone of the trial."""
        from safetensors.torch import save_file

        path = self._folder / "given.safetensors"
        if not path.exists():
            backbone, _ = self._catalogue.backbone("conv4")
            with seeded(0, "given weights"):
                network = backbone.build(BackboneRequest(self._data.spec.image_size, self._data.spec.channels))
            save_file(network.state_dict(), path)
        return str(path)

    def _weights(self, name: str, seed: int = 0) -> dict[str, Mapping[str, torch.Tensor]]:
        """The weights of each stage in the bench ``name``."""
        paths = sorted((self._folder / name).glob(f"stages/*/*-seed{seed}-*"))
        stages = [path.name.removeprefix(f"{self._spec.name}-").rpartition("-seed")[0] for path in paths]
        return dict(zip(stages, read_weights(paths), strict=True))

    # ── what came of it ──────────────────────────────────────────────────────────────────────────

    def _budget(self) -> str | None:
        if "images" not in self._spec.options.model_fields or "images" in self._options:
            return None
        for job in self._jobs:
            trained = StageFolder(job.folder).trained
            seen = trained.images_seen if trained else 0
            if seen and not 0.75 * IMAGES <= seen < 2 * IMAGES:  # episodes may vary in size
                return f"asked for {IMAGES:,} images, {job.stage} counts {seen:,}: hand its options to the trainer"
        return None

    @cached_property
    def _learners(self) -> Mapping[str, Any]:
        """Stage → its learner, built anew and filled with its trained weights."""
        data = replace(self._data, spec=self._watch.dataset)
        learners = {}
        for job in self._jobs:
            work = Work(job, self._catalogue, lambda event: None)
            work.dataset = data
            learners[job.stage] = work.trained_learner()
        return learners

    def _check_learners(self, problem: Callable[[Any], str | None]) -> Iterator[str]:
        for stage, learner in self._learners.items():
            if (reason := problem(learner)) is not None:
                yield f"{stage}: {reason}"

    def _reloaded(self) -> Iterator[str]:
        for stage, learner in self._learners.items():
            before = self._watch.learned.get(stage)
            if before is not None and not near(before, self._probe(learner)):
                yield (
                    f"{stage}: built anew and filled with its weights, the learner gives other outputs than after fit: "
                    "keep what it learns in parameters and buffers"
                )

    def _interrupted(self) -> Iterator[str]:
        """Train again, each stage stopped after an epoch and resumed; where that ends elsewhere, without a stop too."""
        yield from filter(None, [self._train("interrupted", (0,), interrupt=True)])
        differing = list(
            self._differing("first", "interrupted", "stopped after an epoch and resumed, it ends elsewhere")
        )
        if differing:
            yield from filter(None, [self._train("again", (0,))])
            yield from self._differing(
                "first",
                "again",
                "two trainings with seed 0 differ: take all randomness from harness.numpy_generator, "
                "harness.torch_generator or harness.seeded",
            )
        yield from differing

    def _differing(self, one: str, other: str, what: str) -> Iterator[str]:
        other_weights = self._weights(other)
        for stage, weights in self._weights(one).items():
            if not same(weights, other_weights[stage]):
                yield f"{stage}: {what}"

    def _other_seed(self) -> Iterator[str]:
        yield from filter(None, [self._train("other", (1,))])
        others = self._weights("other", seed=1)
        for stage, weights in self._weights("first").items():
            if weights and same(weights, others[stage]):
                yield f"{stage}: seeds 0 and 1 give the same weights"


class _Interrupted(BaseException):
    """Stands for a process that is killed."""


class _Executor:
    """Runs jobs in this process; asked to, stops each after its first epoch and starts it again."""

    def __init__(self, catalogue: Catalogue, interrupt: bool) -> None:
        self._catalogue = catalogue
        self._interrupt = interrupt
        self.jobs: list[StageJob] = []
        self.reads: dict[str, frozenset[str]] = {}  # stage → options that it was seen to read
        self.outcomes: list[tuple[StageJob, StageResult | StageFailure]] = []

    def check(self, machine: HardwareRequest) -> None:
        machine.check()

    def run(self, ready: Ready, emit: Emit) -> Iterator[tuple[StageJob, StageResult | StageFailure]]:
        while (job := ready()) is not None:
            try:
                outcome = run_job(job, self._catalogue, partial(self._hear, job, self._interrupt))
            except _Interrupted:
                outcome = run_job(job, self._catalogue, partial(self._hear, job, False))
            self.jobs.append(job)
            self.outcomes.append((job, outcome))
            yield job, outcome

    def _hear(self, job: StageJob, interrupt: bool, event: Any) -> None:
        if isinstance(event, OptionsRead):
            self.reads[job.stage] = event.names
        if interrupt and isinstance(event, EpochDone):
            raise _Interrupted

    def share(self, machine: HardwareRequest) -> tuple[HardwareRequest, int]:
        return machine, 1

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def _keep_thread_count() -> Iterator[None]:
    """A trial runs on one thread; afterwards torch has as many as before."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)

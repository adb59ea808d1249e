"""One stage, trained and scored: what a worker is told, and what it does. Where it runs is its caller's affair."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, PluginError, one_line
from harness.events import Note
from harness.runs import StageFolder, StageIdentity, score_key
from harness.types import (
    BackboneRequest,
    BuildContext,
    DataRequest,
    Dataset,
    Episodes,
    EpisodeSpec,
    FitContext,
    Head,
    Split,
    Stage,
    StageFailure,
    StageResult,
    Target,
)

if TYPE_CHECKING:
    from harness.hardware import Hardware
    from harness.plugins import Catalogue

Emit = Callable[[Any], None]
VALIDATION_EPISODES = 200


@dataclass(frozen=True)
class DataSource:
    """Which images a bench trains and tests on, by name."""

    dataset: str
    root: Path
    train_on: str = "train"  # or "trainval"
    test_dataset: str | None = None
    image_size: int | None = None
    score_on: str = "test"  # or "val"

    def open(self, catalogue: Catalogue) -> Dataset:
        """The dataset, its validation classes merged in or its test split exchanged, as asked.

        Scored on the validation classes, it has no test split, so that nothing can touch that.
        """
        from harness.datasets import combine

        dataset = self._one(catalogue, self.dataset)
        if self.test_dataset is not None:
            dataset = combine.cross(dataset, self._one(catalogue, self.test_dataset))
        if self.score_on == "val":
            dataset = replace(dataset, test=None, notes=(*dataset.notes, "scored on the validation classes"))
        return combine.trainval(dataset) if self.train_on == "trainval" else dataset

    def scored(self, dataset: Dataset) -> Split:
        """The split of ``dataset`` that episodes are drawn from."""
        split = dataset.val if self.score_on == "val" else dataset.test
        if split is None:
            missing = "validation classes" if self.score_on == "val" else "test split"
            raise HarnessError(f"{dataset.spec.name} has no {missing}, so there is nothing to score on")
        return split

    def _one(self, catalogue: Catalogue, name: str) -> Dataset:
        spec, argument = catalogue.dataset(name)
        return spec.open(DataRequest(self.root, argument, self.image_size))


@dataclass(frozen=True)
class Protocol:
    """Which episodes a stage is scored on, the same for all."""

    specs: tuple[EpisodeSpec, ...]
    n_episodes: int
    seed: int
    targets: tuple[Target, ...] = ("closed", "open")

    def sample(self, split: Split) -> list[Episodes]:
        """The episodes of every kind; open ones only where the split is large enough for two of them."""
        from harness.episodes import sample_episodes

        sampled = [
            sample_episodes(split, spec, self.n_episodes, self.seed, target)
            for target in self.targets
            for spec in self.specs
        ]
        return [episodes for episodes in sampled if episodes.target == "closed" or len(episodes) > 1]


@dataclass(frozen=True)
class Machine:
    """What to run on, as requested."""

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    devices: int = 1


@dataclass(frozen=True, eq=False)
class StageJob:
    """A stage with a seed, to be trained unless it is, and scored where it is not."""

    label: str
    method: str
    stage: str
    options: Mapping[str, Any]
    backbone: str | None
    weights: Path | None
    head: Head | None
    seed: int
    depth: int  # how many stages lie before it; the first stages of all methods start from the same backbone
    identity: StageIdentity
    folder: Path
    parent_folder: Path | None
    source: DataSource
    protocol: Protocol
    machine: Machine

    @property
    def key(self) -> str:
        return self.identity.key

    @property
    def name(self) -> str:
        return f"{self.label}/{self.stage}"


def run_job(job: StageJob, catalogue: Catalogue, emit: Emit) -> StageResult | StageFailure:
    """Train and score the stage of ``job``, as far as that is not done; whatever goes wrong is the result's value."""
    folder = StageFolder(job.folder)
    with folder.lock(lambda: emit(Note(f"{job.name}: another run is at work on it; waiting"))):
        try:
            return _run(job, folder, catalogue, emit)
        except Exception as error:
            details = traceback.format_exc()
            folder.save_failure(details)
            return StageFailure(job.key, one_line(error), details)


def _run(job: StageJob, folder: StageFolder, catalogue: Catalogue, emit: Emit) -> StageResult:
    from harness.hardware import choose_hardware, prepare_process

    dataset = job.source.open(catalogue)
    scored = job.source.scored(dataset)
    episodes = job.protocol.sample(scored)
    keys = [score_key(job.key, each, job.head, job.protocol.seed) for each in episodes]
    done = folder.result(job.key, keys)
    if done is not None:
        return done
    hardware = choose_hardware(job.machine.device, job.machine.precision, job.machine.threads)
    prepare_process(hardware)
    learner = trained_learner(job, folder, dataset, catalogue, hardware, emit)
    missing = [(key, each) for key, each in zip(keys, episodes, strict=True) if folder.load_score(key) is None]
    started = time.perf_counter()
    scores = _evaluate(job, folder, learner, scored, dataset.train, [each for _, each in missing], catalogue, hardware)
    seconds = time.perf_counter() - started
    for (key, _), score in zip(missing, scores, strict=True):
        folder.save_score(key, score, seconds)
    result = folder.result(job.key, keys)
    if result is None:
        raise HarnessError(f"{job.folder} lost its scores while they were written: is something deleting files there?")
    return result


def trained_learner(
    job: StageJob, folder: StageFolder, dataset: Dataset, catalogue: Catalogue, hardware: Hardware, emit: Emit
) -> Any:
    """The stage's learner in eval mode: from its weights if they are there, else trained now and kept."""
    import torch

    stage = find_stage(job, catalogue)
    context = _build_context(job, dataset, catalogue, folder)
    learner = _built(stage, context, job)
    trained = folder.trained
    if trained is None:
        _fit(job, stage, context, learner, folder, dataset, catalogue, hardware, emit)
    else:
        folder.load_weights(learner)
    if isinstance(learner, torch.nn.Module):
        learner.to(hardware.device).to(memory_format=torch.channels_last).eval()
    return learner


def find_stage(job: StageJob, catalogue: Catalogue) -> Stage:
    method = catalogue.method(job.method)
    options = method.options.model_validate(dict(job.options))
    return next(stage for stage in method.stages(options) if stage.name == job.stage)


def _built(stage: Stage, context: BuildContext, job: StageJob) -> Any:
    from harness.randomness import seeded

    with seeded(job.seed, "init", job.depth):
        return stage.build(context)


def _build_context(job: StageJob, dataset: Dataset, catalogue: Catalogue, folder: StageFolder) -> BuildContext:
    trained = folder.trained
    if trained is not None:
        n_classes = trained["n_classes"]
    elif dataset.train is not None:
        n_classes = dataset.train.n_classes
    else:
        n_classes = 0

    def backbone() -> Any:
        if job.backbone is None:
            raise PluginError(f"{job.method} asked for a backbone, but its MethodSpec says uses_backbone=False")
        spec, argument = catalogue.backbone(job.backbone)
        network = spec.build(BackboneRequest(dataset.spec.image_size, dataset.spec.channels, argument))
        if job.weights is not None:
            from harness.backbones import load_weights

            load_weights(network, job.weights)
        return network

    options = catalogue.method(job.method).options.model_validate(dict(job.options))
    return BuildContext(dataset.spec, n_classes, options, backbone)


def _fit(
    job: StageJob,
    stage: Stage,
    context: BuildContext,
    learner: Any,
    folder: StageFolder,
    dataset: Dataset,
    catalogue: Catalogue,
    hardware: Hardware,
    emit: Emit,
) -> None:
    from harness.hardware import peak_memory_bytes
    from harness.randomness import derive
    from harness.training import Trainer

    folder.save_identity(job.identity)
    if stage.fit is None:
        folder.save_trained(learner, _record(job, context, hardware, 0, 0.0, 0, 0))
        return
    if dataset.train is None:
        raise HarnessError(f"{dataset.spec.name} has no train split, so nothing can be trained on it")
    started = time.perf_counter()
    seed = derive(job.seed, "fit", job.depth)
    trainer = Trainer(
        dataset.train, dataset.spec, hardware, seed, folder.checkpoints, emit,
        validate=_validator(job, dataset, catalogue, hardware), devices=job.machine.devices,
    )  # fmt: skip
    parent = _parent(job, stage, dataset, catalogue)
    stage.fit(
        FitContext(**vars(context), train=dataset.train, val=dataset.val, parent=parent, seed=seed,
                   trainer=trainer),
        learner,
    )  # fmt: skip
    seconds = trainer.seconds or time.perf_counter() - started
    folder.save_metrics(trainer.history)
    peak = peak_memory_bytes(hardware)
    folder.save_trained(learner, _record(job, context, hardware, trainer.images_seen, seconds, trainer.flops, peak))


def _record(
    job: StageJob, context: BuildContext, hardware: Hardware, images: int, seconds: float, flops: int, peak: int
) -> dict[str, Any]:
    return {
        "images_seen": images, "fit_seconds": seconds, "flops": flops, "peak_memory_bytes": peak,
        "n_classes": context.n_classes, "conditions": hardware.describe(), "label": job.label,
    }  # fmt: skip


def _parent(job: StageJob, stage: Stage, dataset: Dataset, catalogue: Catalogue) -> Any:
    """The parent's learner, with its trained weights, frozen."""
    if stage.parent is None or job.parent_folder is None:
        return None
    folder = StageFolder(job.parent_folder)
    parent_job = replace(job, stage=stage.parent, folder=job.parent_folder, parent_folder=None, depth=job.depth - 1)
    learner = _built(find_stage(parent_job, catalogue), _build_context(parent_job, dataset, catalogue, folder), job)
    folder.load_weights(learner)
    if hasattr(learner, "requires_grad_"):
        learner.eval().requires_grad_(False)
    return learner


def _validator(
    job: StageJob, dataset: Dataset, catalogue: Catalogue, hardware: Hardware
) -> Callable[[Any], float] | None:
    """What scores a network on validation episodes with the method's own head, whatever the test is asked to be."""
    val = dataset.val
    if val is None:
        return None
    smallest = int(min((val.labels == label).sum() for label in range(val.n_classes)))
    spec = EpisodeSpec(min(5, val.n_classes), 1, min(15, smallest - 1))
    episodes = Protocol((spec,), VALIDATION_EPISODES, seed=0, targets=("closed",)).sample(val)
    own_head = replace(job, head=catalogue.method(job.method).head)

    def validate(network: Any) -> float:
        scores = _evaluate(own_head, None, network, val, dataset.train, episodes, catalogue, hardware)
        return float(scores[0].accuracies.mean())

    return validate


def _evaluate(
    job: StageJob,
    folder: StageFolder | None,
    learner: Any,
    split: Split,
    base: Split | None,
    episodes: list[Episodes],
    catalogue: Catalogue,
    hardware: Hardware,
) -> list[Any]:
    from harness.evaluation import evaluate

    spec, _ = catalogue.dataset(job.source.dataset)
    return evaluate(
        learner,
        split,
        episodes,
        job.head,
        catalogue.classifier(job.head.classifier).load() if job.head else None,
        augmentation=spec.augmentation,
        view_seed=job.protocol.seed,
        device=hardware.device,
        autocast=hardware.autocast,
        base=base,
        features_cache=folder.embeddings if folder else None,
    )

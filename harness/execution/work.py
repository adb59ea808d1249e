"""What a worker does with a job: train the stage unless it is trained, score it where it is not scored."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.common.errors import CannotWrite, HarnessError, PluginError, one_line
from harness.contract.backbones import BackboneRequest
from harness.contract.methods import BuildContext, FitContext
from harness.contract.results import Score, StageFailure, StageResult
from harness.evaluation.events import EmbeddingProgress
from harness.execution.events import Note, OptionsRead, RanksNeeded
from harness.execution.journal import Journal, trained_record
from harness.execution.method import MethodAtWork
from harness.execution.rendezvous import join_others
from harness.runs import StageFolder

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset, Split
    from harness.contract.episodes import Episodes
    from harness.contract.recipe import Selection
    from harness.evaluation.evaluator import Evaluator
    from harness.execution.job import ParentStage, StageJob
    from harness.hardware.hardware import Hardware
    from harness.training.trainer import Trainer

Emit = Callable[[Any], None]


def run_job(job: StageJob, catalogue: Catalogue, emit: Emit) -> StageResult | StageFailure:
    """Train and score the stage of ``job``, as far as that is not done; whatever goes wrong is the result's value."""
    folder = StageFolder(job.folder)
    try:
        lock = folder.lock(lambda: emit(Note(f"{job.name}: another run is at work on it; waiting")))
    except CannotWrite as error:
        return StageFailure(job.key, str(error), unwritable=True)
    work = Work(job, catalogue, emit)
    try:
        folder.remove_unfinished()
        result = work.run()
        folder.forget_failure()
        return result
    except CannotWrite as error:
        return StageFailure(job.key, str(error), traceback.format_exc(), unwritable=True)
    except (Exception, SystemExit) as error:
        details = traceback.format_exc()
        work.journal.failed(one_line(error))
        with suppress(CannotWrite):
            folder.save_failure(details)
        return StageFailure(job.key, one_line(error), details)
    finally:
        lock.release()


def join_job(job: StageJob, catalogue: Catalogue, rank: int, port: int) -> None:
    """Take part in the training of ``job`` as a further process, which writes nothing."""
    Work(job, catalogue, lambda event: None, rank, port).join()


@dataclass
class Work:
    """A job under way in this process."""

    job: StageJob
    catalogue: Catalogue
    emit: Emit
    rank: int = 0  # among the processes that train this stage together
    port: int = 0  # where they meet

    @cached_property
    def folder(self) -> StageFolder:
        return StageFolder(self.job.folder)

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.job, self.folder, self.emit)

    @cached_property
    def dataset(self) -> Dataset:
        return self.job.source.open(self.catalogue)

    @cached_property
    def hardware(self) -> Hardware:
        from harness.hardware.hardware import choose_hardware
        from harness.hardware.process import prepare_process

        machine = self.job.machine
        hardware = choose_hardware(machine.device, machine.precision, machine.threads, machine.devices, self.rank)
        prepare_process(hardware, self.dataset.spec.image_size)
        return hardware

    def run(self) -> StageResult:
        """The stage's result, after whatever was missing of it."""
        scored = self.job.source.scored(self.dataset)
        episodes = self.job.protocol.sample(scored)
        keys = [self.job.score_key(episode_set) for episode_set in episodes]
        done = self.folder.result(self.job.key, keys, self.job.predictions)
        if done is not None:
            return done
        was_trained = self.folder.trained is not None
        self.journal.started("score" if was_trained else "train", self.hardware.describe())
        learner = self.trained_learner()
        missing = {
            key: episode_set
            for key, episode_set in zip(keys, episodes, strict=True)
            if not self.folder.has_score(key, self.job.predictions)
        }
        started = time.perf_counter()
        scores = self.evaluate(learner, scored, list(missing.values()), keep_features=True)
        seconds = time.perf_counter() - started
        for key, score in zip(missing, scores, strict=True):
            self.folder.save_score(key, score, seconds, self.hardware.describe())
        self.journal.scored(scores, seconds)
        if not was_trained:  # what a learner reads when it predicts counts too
            self.emit(OptionsRead(frozenset(self.method.reads.get(self.job.stage, ()))))
        result = self.folder.result(self.job.key, keys)
        if result is None:
            raise HarnessError(f"{self.job.folder} lost files while they were written: is something deleting them?")
        return result

    # ── training ─────────────────────────────────────────────────────────────────────────────────

    def trained_learner(self) -> Any:
        """The stage's learner in eval mode on the device: from its weights if they are there, else trained now."""
        import torch

        from harness.hardware.memory import PeakMemory, release_memory

        learner = self.build(self.job, self.folder)
        if self.folder.trained is None:
            self.folder.save_identity(self.job.identity)
            memory = PeakMemory(self.hardware)
            trainer = self.fit(learner)
            conditions, n_classes = self.hardware.describe(), self.n_classes(self.folder)
            record = trained_record(self.job, trainer, memory.n_bytes(), n_classes, conditions)
            self.folder.save_trained(learner, record)
            self.journal.trained(record)
            release_memory()
        else:
            self.folder.load_weights(learner)
        if isinstance(learner, torch.nn.Module):
            learner.to(self.hardware.device).to(memory_format=torch.channels_last).eval()
        return learner

    def join(self) -> None:
        """Train along with the process of rank 0, without keeping anything."""
        self.fit(self.build(self.job, self.folder))

    def fit(self, learner: Any) -> Trainer | None:
        """Train ``learner`` in place, from its last checkpoint if there is one. None: there is nothing to train."""
        from harness.common.randomness import derive
        from harness.execution.shorter import shorter_trainings
        from harness.training.trainer import Trainer

        stage, train = self.method.stages[self.job.stage], self.dataset.train
        if stage.fit is None:
            return None
        if train is None:
            raise HarnessError(f"{self.dataset.spec.name} has no train split, so nothing can be trained on it")
        if self.job.machine.devices > 1:
            self.port = join_others(self.rank, self.port, self.job.machine.devices)
            if self.rank == 0:
                self.emit(RanksNeeded(self.port))
        seed = derive(self.job.seed, "fit", *self.job.position)
        spec = self.dataset.spec
        trainer = Trainer(
            train,
            replace(spec, augmentation=spec.augmentation.at(self.job.augment)),
            self.hardware,
            seed,
            self.folder.path,
            self.journal.hear if self.rank == 0 else self.emit,
            validate=self.validator(),
            devices=self.job.machine.devices,
            shorter=lambda: shorter_trainings(self.job, self.method.lengths(self.job.stage), self.hardware.describe()),
        )
        self.journal.history = lambda: trainer.history
        context = FitContext(
            **vars(self.context(self.job, self.folder)),
            train=train,
            val=self.dataset.val,
            parents=tuple(map(self.parent, self.job.parents)),
            seed=seed,
            trainer=trainer,
        )
        started = time.perf_counter()
        with self.method.at_work(self.job.stage):
            stage.fit(context, learner)
        if self.method.reads_lengths_elsewhere(self.job.stage):
            trainer.forget_for_longer()  # a longer training's first epochs may be others
        if not trainer.seconds:  # neither the trainer's loop nor a checkpointed one of its own
            trainer.account(seconds=time.perf_counter() - started)
        if self.rank == 0:
            self.journal.save_metrics()
        return trainer

    def parent(self, parent: ParentStage) -> Any:
        """A parent's learner with its trained weights, frozen."""
        folder = StageFolder(parent.folder)
        learner = self.build(replace(self.job, stage=parent.stage, position=parent.position), folder)
        folder.load_weights(learner)
        if hasattr(learner, "requires_grad_"):
            learner.eval().requires_grad_(False)
        return learner

    @cached_property
    def method(self) -> MethodAtWork:
        return MethodAtWork(self.catalogue.method(self.job.method), self.job.options)

    def build(self, job: StageJob, folder: StageFolder) -> Any:
        """An untrained learner of a job's stage, initialised from the job's own seed."""
        from harness.common.randomness import seeded

        if job.stage not in self.method.stages:
            raise HarnessError(f"{job.method} as it is installed has no stage {job.stage!r} under these options")
        with seeded(job.seed, "init", *job.position), self.method.at_work(job.stage):
            learner = self.method.stages[job.stage].build(self.context(job, folder))
        if learner is None:
            raise PluginError(f"build() of {job.method}/{job.stage} returned None: it must return the learner")
        return learner

    def context(self, job: StageJob, folder: StageFolder) -> BuildContext:
        n_classes = self.n_classes(folder)
        options = self.method.options_for(job.stage)
        return BuildContext(self.dataset.spec, n_classes, options, self.backbone)

    def n_classes(self, folder: StageFolder) -> int:
        """Base classes of a stage."""
        trained, train = folder.trained, self.dataset.train
        return trained.n_classes if trained else train.n_classes if train else 0

    def backbone(self) -> Any:
        """A new backbone, from the weights file if the job has one."""
        job, spec = self.job, self.dataset.spec
        if job.backbone is None:
            raise PluginError(f"{job.method} asked for a backbone, but its MethodSpec says uses_backbone=False")
        backbone_spec, argument = self.catalogue.backbone(job.backbone)
        network = backbone_spec.build(BackboneRequest(spec.image_size, spec.channels, argument))
        if job.weights is not None:
            from harness.networks.backbones.weights import load_weights

            load_weights(network, job.weights)
        return network

    # ── scoring ──────────────────────────────────────────────────────────────────────────────────

    def evaluate(
        self, learner: Any, split: Split, episodes: Sequence[Episodes], keep_features: bool = False
    ) -> list[Score]:
        """A score for each of ``episodes`` under the job's head."""
        head = self.catalogue.head(self.job.head) if self.job.head else None
        if self.catalogue.method(self.job.method).stored:
            learner.match(split)
        return self._evaluator(learner, split, keep_features).scores(episodes, head, self.job.predictions)

    def _evaluator(self, learner: Any, split: Split, keep_features: bool = False) -> Evaluator:
        from harness.evaluation.evaluator import Evaluator

        return Evaluator(
            learner,
            split,
            augmentation=self.dataset.spec.augmentation,
            view_seed=self.job.protocol.seed,
            device=self.hardware.device,
            autocast=self.hardware.autocast,
            base=self.dataset.train,
            features_cache=self.folder.embeddings if keep_features else None,
            progress=lambda done, total: self.emit(EmbeddingProgress(done, total)),
        )

    def validator(self) -> Callable[[Any, Selection], float] | None:
        """What measures a network on the validation classes, with the method's own head, whatever the test's is."""
        from harness.execution.validation import Validator

        val = self.dataset.val
        if val is None:
            return None
        head = self.catalogue.method(self.job.method).head
        return Validator(
            val, lambda network: self._evaluator(network, val), self.catalogue.head(head) if head else None
        )

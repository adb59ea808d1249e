"""One stage on disk: its weights, what they cost, its scores, and what went wrong."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from harness.common.errors import RunsError
from harness.common.files import as_json, cannot_write, read_json, remove_unfinished, write_kept
from harness.contract.results import Score, StageResult
from harness.runs.arrays import load_arrays, save_arrays
from harness.runs.identity import StageIdentity
from harness.runs.locking import LOCK
from harness.runs.predictions import load_predictions, save_predictions
from harness.runs.records import ScoreRecord, TrainedRecord, read

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.learners import Learner


@dataclass(frozen=True)
class KeptScore:
    """A score on disk, and under which conditions it was made."""

    score: Score
    embed_seconds: float
    conditions: Mapping[str, str]  # device, precision, threads, versions


@dataclass(frozen=True)
class StageFolder:
    """One stage's folder on disk. Every file in it is written whole or not at all."""

    path: Path

    # ── one at a time ────────────────────────────────────────────────────────────────────────────

    def lock(self, waiting: Callable[[], None] = lambda: None) -> FileLock:
        """A lock on this stage; held by another process, ``waiting()`` is called once and then it is waited for.

        Raises:
            CannotWrite: the folder cannot be made or written, or the run folder is gone.
        """
        try:
            self.path.parent.mkdir(exist_ok=True)  # the run folder is there, unless it was moved
            self.path.mkdir(exist_ok=True)
            lock = FileLock(self.path / LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
        except OSError as error:
            raise cannot_write(self.path / LOCK, error) from None
        return lock

    # ── training ─────────────────────────────────────────────────────────────────────────────────

    @property
    def trained(self) -> TrainedRecord | None:
        """What the training cost and where it ran, or None while there is no trained stage here."""
        path = self.path / "trained.json"
        return read(TrainedRecord, path) if path.exists() else None

    @property
    def embeddings(self) -> Path:
        """The folder of features, a file a split that was scored: harness/evaluation/cache.py."""
        return self.path / "embeddings"

    def save_identity(self, identity: StageIdentity) -> None:
        self._write_json("identity.json", asdict(identity), lasting=False)

    @property
    def identity(self) -> StageIdentity | None:
        """What ``identity.json`` says decided the weights, whichever version wrote it; None where there is none."""
        path = self.path / "identity.json"
        if not path.exists():
            return None
        values = read_json(path)
        if not isinstance(values, dict):
            raise RunsError(f"{path} is damaged: it holds no identity. Delete {self.path} to train it again")
        return StageIdentity.recorded(values)

    def save_metrics(self, history: Sequence[Mapping[str, float]]) -> None:
        """``metrics.csv``: a line an epoch, a column a metric."""
        columns = list(dict.fromkeys(name for row in history for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({name: repr(value) for name, value in row.items()} for row in history)
        write_kept(self.path / "metrics.csv", text.getvalue().encode(), lasting=False)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """What ``metrics.csv`` holds, an epoch each; empty where nothing was trained."""
        path = self.path / "metrics.csv"
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            return [{name: float(value) for name, value in line.items() if value} for line in csv.DictReader(lines)]
        except OSError as error:
            raise RunsError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, csv.Error):
            raise RunsError(f"{path} is damaged. Delete it to do without the learning curve") from None

    def save_trained(self, learner: Learner, record: TrainedRecord) -> None:
        """Keep the weights, then the record that says they are whole; then drop the checkpoints."""
        import torch
        from safetensors.torch import save

        tensors = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in learner.state_dict().items()
        }
        content = save(tensors)
        record = record.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
        write_kept(self.path / "weights.safetensors", content, lasting=False)
        self._write_json("trained.json", record.model_dump(mode="json"))
        for checkpoint in self.path.glob("checkpoint-*.pt"):
            checkpoint.unlink()

    def load_weights(self, learner: Learner) -> None:
        """Fill ``learner`` with the trained weights.

        Raises:
            RunsError: the file is missing, damaged, or of another network.
        """
        from safetensors.torch import load

        path = self.path / "weights.safetensors"
        if self.trained is not None and not path.exists():
            raise RunsError(
                f"{self.path} holds no weights: they were deleted, or its archive was made without them "
                "(harness runs export --weights)"
            )
        try:
            content = path.read_bytes()
            trained = self.trained
            if trained is None or hashlib.sha256(content).hexdigest() != trained.weights_sha256:
                raise ValueError("its sha256 is not the one that was recorded")
            learner.load_state_dict(load(content))
        except Exception as error:
            raise RunsError(f"{path}: {' '.join(str(error).split())}. Delete {self.path} to train it again") from None

    # ── scores ───────────────────────────────────────────────────────────────────────────────────

    def save_score(self, key: str, score: Score, embed_seconds: float, conditions: Mapping[str, str]) -> None:
        """Keep the accuracies under ``key``; before them the predictions, if the score has any."""
        record = ScoreRecord(
            episodes=score.episodes,
            target=score.target,
            episodes_fingerprint=score.episodes_fingerprint,
            embed_seconds=embed_seconds,
            n_classes=score.n_classes,
            feature_spread=score.feature_spread,
            conditions=dict(conditions),
        )
        if score.predicted is not None:
            save_predictions(self.predictions_file(key), score)
        save_arrays(self._score_file(key), record, accuracies=score.accuracies, classes=score.classes)

    def load_score(self, key: str) -> KeptScore | None:
        """The accuracies kept under ``key``, or None. Their predictions are read apart: ``load_predictions``."""
        path = self._score_file(key)
        if not path.exists():
            return None
        record, arrays = load_arrays(ScoreRecord, path, "accuracies", "classes")
        score = Score(
            record.episodes,
            record.target,
            record.episodes_fingerprint,
            arrays["accuracies"],
            arrays["classes"],
            record.n_classes,
            record.feature_spread,
        )
        return KeptScore(score, record.embed_seconds, record.conditions)

    def load_predictions(self, key: str, score: Score) -> np.ndarray | None:
        """The labels (E, n_way * n_query) that were predicted when ``score`` was made; None where they are not kept."""
        return load_predictions(self.predictions_file(key), score)

    def has_score(self, key: str, predictions: bool) -> bool:
        """Whether the accuracies are kept under ``key``, and where ``predictions`` are asked for, these too."""
        kept = self.load_score(key)
        return kept is not None and (not predictions or self.load_predictions(key, kept.score) is not None)

    def _score_file(self, key: str) -> Path:
        return self.path / "scores" / f"{key}.npz"

    def predictions_file(self, key: str) -> Path:
        return self.path / "predictions" / f"{key}.npz"

    def result(self, key: str, score_keys: Sequence[str], predictions: bool = False) -> StageResult | None:
        """The stage with all of these scores, or None if something is still to be done.

        Args:
            predictions: what is still to be done includes keeping these.
        """
        trained = self.trained
        if trained and predictions and not all(self.has_score(score, predictions) for score in score_keys):
            return None
        kept = [self.load_score(score) for score in score_keys] if trained else []
        if trained is None or any(score is None for score in kept):
            return None
        done = [score for score in kept if score is not None]
        return StageResult(
            key=key,
            scores=tuple(score_record.score for score_record in done),
            images_seen=trained.images_seen,
            fit_seconds=trained.fit_seconds,
            embed_seconds=max((score_record.embed_seconds for score_record in done), default=0.0),
            peak_memory_bytes=trained.peak_memory_bytes,
            conditions=_merge_conditions(trained.conditions, [score_record.conditions for score_record in done]),
            flops=trained.flops,
        )

    # ── what went wrong ──────────────────────────────────────────────────────────────────────────

    def save_failure(self, details: str) -> None:
        write_kept(self.path / "failure.txt", details.encode())

    def _write_json(self, name: str, value: Any, lasting: bool = True) -> None:
        write_kept(self.path / name, as_json(value).encode(), lasting=lasting)

    def forget_failure(self) -> None:
        (self.path / "failure.txt").unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Delete what a killed process left; for the holder of the lock."""
        for folder in (self.path, self.path / "scores", self.path / "predictions", self.embeddings):
            remove_unfinished(folder)


def _merge_conditions(training: Mapping[str, str], scorings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The conditions of a training, with those of its scorings where they were others."""
    merged = {}
    for name, value in training.items():
        others = dict.fromkeys(conditions[name] for conditions in scorings if conditions.get(name, value) != value)
        merged[name] = f"{value} (scored on {', '.join(others)})" if others else value
    return merged

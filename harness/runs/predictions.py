"""The predicted label of every query, beside the accuracies that it came with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.runs.arrays import load_arrays, save_arrays
from harness.runs.records import PredictionsRecord

if TYPE_CHECKING:
    import numpy as np

    from harness.contract.results import Score


def save_predictions(path: Path, score: Score) -> None:
    """Keep the predictions of ``score``, deflated."""
    assert score.predicted is not None
    record = PredictionsRecord(
        episodes_fingerprint=score.episodes_fingerprint, accuracies_sha256=_digest(score.accuracies)
    )
    save_arrays(path, record, compressed=True, predicted=score.predicted)


def load_predictions(path: Path, score: Score) -> np.ndarray | None:
    """Labels (E, n_way * n_query) of the scoring that gave ``score``; None where there are none, or of another scoring.

    Raises:
        RunsError: the file is damaged.
    """
    if not path.exists():
        return None
    record, arrays = load_arrays(PredictionsRecord, path, "predicted")
    predicted = arrays["predicted"]
    if (record.episodes_fingerprint, record.accuracies_sha256) != (
        score.episodes_fingerprint,
        _digest(score.accuracies),
    ):
        return None
    return predicted if len(predicted) == len(score.accuracies) else None


def _digest(accuracies: np.ndarray) -> str:
    return hashlib.sha256(accuracies.astype("<f8").tobytes()).hexdigest()

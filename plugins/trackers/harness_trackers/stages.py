"""The stages of a bench as the runs of a tool: their names, and the names of what is drawn of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import harness


class StageName(NamedTuple):
    """A stage with a seed, within one bench."""

    dataset: str
    label: str
    stage: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.label}/{self.stage} seed {self.seed}"

    def folder(self, key: str) -> tuple[str, str]:
        """Names of a folder for the dataset and one for the stage within it, whatever letters these have."""
        return _plain(self.dataset), _plain(f"{self.label}-{self.stage}-seed{self.seed}-{key[:8]}")


def _plain(name: str) -> str:
    return re.sub(r"[^\w.=-]|^\.", "_", name)


def curve(metric: str) -> str:
    """The name of a metric's curve: those of one kind stand together, as ``loss/kd_loss``."""
    for part, kind in (("loss", "loss"), ("learning_rate", "learning_rate"), ("top", "accuracy"), ("acc", "accuracy")):
        if part in metric:
            return f"{kind}/{metric}"
    return f"speed/{metric}" if metric == "images_per_second" else f"other/{metric}"


def final_numbers(result: harness.StageResult) -> Iterator[tuple[str, float]]:
    """Mean accuracies of a stage that is scored, as fractions, and what it cost; only what is known and finite."""
    for score in result.scores:
        yield f"test/{score.target} {score.episodes}", float(score.accuracies.mean())
    costs = {
        "images seen": result.images_seen,
        "training seconds": result.fit_seconds,
        "peak memory bytes": result.peak_memory_bytes,
    }
    for name, value in costs.items():
        if value is not None and math.isfinite(value):
            yield f"cost/{name}", float(value)


def texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """The options of a stage as text."""
    return {name: str(value) for name, value in settings.items()}

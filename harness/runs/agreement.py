"""A stage trained twice: are the weights and the accuracies the same to the last digit, and if not, within what?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.common.errors import RunsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from harness.contract.results import Score, StageResult
    from harness.runs.stages import StageFolder


@dataclass(frozen=True)
class SettingAgreement:
    """The accuracies of one kind of episodes, then and now. Fractions."""

    setting: str  # 5-way 1-shot
    target: str  # closed or open
    episodes: int
    differing: int  # episodes whose accuracy is not the same to the last digit
    largest: float  # difference of an episode's accuracy
    mean: float  # accuracy then
    mean_now: float


@dataclass(frozen=True)
class StageAgreement:
    """A stage that was trained again: what is the same."""

    weights: Literal["equal", "different", "unknown"]  # by their sha256; unknown: none was recorded
    # The largest difference of a tensor, as a share of its norm, where the weights differ and both files are there.
    weights_within: float | None
    settings: Sequence[SettingAgreement]
    conditions: Mapping[str, tuple[str, str]]  # device, precision, threads, versions that differ: then and now

    @property
    def accuracies_equal(self) -> bool:
        return not any(setting.differing for setting in self.settings)

    @property
    def equal(self) -> bool:
        """Whether everything that was recorded is the same to the last digit."""
        return self.accuracies_equal and self.weights != "different"


def agreement(then: StageFolder, was: StageResult, now: StageFolder, came: StageResult) -> StageAgreement:
    """How far a stage agrees with itself, trained again in another folder.

    Raises:
        RunsError: the two were not scored on the same episodes.
    """
    digests = [folder.trained.weights_sha256 if folder.trained else "" for folder in (then, now)]
    weights: Literal["equal", "different", "unknown"] = (
        "unknown" if "" in digests else "equal" if digests[0] == digests[1] else "different"
    )
    names = dict.fromkeys((*was.conditions, *came.conditions))
    conditions = {
        name: (was.conditions.get(name, "unknown"), came.conditions.get(name, "unknown"))
        for name in names
        if was.conditions.get(name) != came.conditions.get(name)
    }
    within = _weights_within(then, now) if weights == "different" else None
    return StageAgreement(weights, within, tuple(_settings(was.scores, came.scores)), conditions)


def _settings(then: Sequence[Score], now: Sequence[Score]) -> Iterator[SettingAgreement]:
    by_episodes = {(score.episodes, score.target, score.episodes_fingerprint): score for score in now}
    for score in then:
        again = by_episodes.get((score.episodes, score.target, score.episodes_fingerprint))
        if again is None:
            raise RunsError(f"{score.target} {score.episodes} was not scored again, or on other episodes")
        differences = abs(again.accuracies - score.accuracies)
        yield SettingAgreement(
            setting=str(score.episodes),
            target=score.target,
            episodes=len(differences),
            differing=int((differences != 0).sum()),
            largest=float(differences.max()),
            mean=float(score.accuracies.mean()),
            mean_now=float(again.accuracies.mean()),
        )


def _weights_within(then: StageFolder, now: StageFolder) -> float | None:
    """The largest relative difference of a tensor; None where a file is not there, or they hold other tensors."""
    first, second = _tensors(then), _tensors(now)
    if first is None or second is None or not first or first.keys() != second.keys():
        return None
    if any(first[name].shape != second[name].shape for name in first):
        return None
    return max((_relative(first[name], second[name]) for name in first), default=0.0)


def _relative(first: np.ndarray, second: np.ndarray) -> float:
    """The norm of the difference of two tensors, as a share of the larger one's."""
    import numpy as np

    larger = max(np.linalg.norm(first.ravel()), np.linalg.norm(second.ravel()))
    return float(np.linalg.norm((first - second).ravel()) / larger) if larger else 0.0


def _tensors(folder: StageFolder) -> dict[str, np.ndarray] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder.path / "weights.safetensors"
    try:
        return {name: tensor.double().numpy() for name, tensor in load_file(path).items()} if path.exists() else None
    except (OSError, SafetensorError):
        return None  # damaged, so nothing can be said within what

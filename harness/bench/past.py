"""How long stages took before, from what a run folder keeps of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.common.errors import RunsError
from harness.common.files import read_json
from harness.runs import StageFolder
from harness.runs.log import StageLog

if TYPE_CHECKING:
    from harness.execution.job import StageJob
    from harness.runs.records import TrainedRecord

MOST = 20  # of the latest stages of one kind that are looked at
START_SECONDS = 3.0  # of a stage beside training and scoring, where no log says it: starting, reading, writing
MACHINE = ("device", "precision", "threads", "processes")  # of the conditions, what decides how fast a stage is


@dataclass(frozen=True)
class PastStage:
    """A stage that was trained before."""

    identity: Mapping[str, Any]
    trained: TrainedRecord
    scoring_seconds: float
    other_seconds: float  # beside training and scoring
    n_bytes: int  # on disk

    def on(self, machine: Mapping[str, str]) -> bool:
        """Whether it was trained on such a machine; of what ``machine`` does not say, any."""
        conditions = self.trained.conditions
        return all(conditions.get(name, machine[name]) == machine[name] for name in MACHINE if name in machine)


@dataclass(frozen=True)
class Kind:
    """What stages have in common that take the same time: all but their seed and their parents."""

    place: Path  # of their folders
    method: str
    stage: str
    backbone: str | None
    data: str
    options: str  # those that it reads, as JSON

    @classmethod
    def of(cls, job: StageJob) -> Kind:
        identity = job.identity
        options = json.dumps(dict(identity.options), sort_keys=True, default=str)
        return cls(job.folder.parent, job.method, job.stage, job.backbone, identity.data, options)


@dataclass
class Past:
    """What earlier stages took, of the run folder that the jobs are in. Nothing is written."""

    _stages: dict[tuple[Path, str, str], list[PastStage]] = field(default_factory=dict)

    def add(self, job: StageJob) -> None:
        """Take in what has been trained since."""
        known = self._known(Kind.of(job))
        known.extend(_read(job.folder))
        del known[:-MOST]

    def like(self, kind: Kind, machine: Mapping[str, str]) -> list[tuple[PastStage, float]]:
        """Stages of a kind on such a machine, and how many times as long a training the kind asks for.

        Where some have the very same options, those alone.
        """
        options = json.loads(kind.options)
        like = []
        for stage in self._known(kind):
            ratio = length_ratio(options, stage.identity.get("options", {}))
            same = stage.identity.get("backbone") == kind.backbone and stage.identity.get("data") == kind.data
            if same and stage.on(machine) and ratio is not None:
                like.append((stage, ratio))
        return [pair for pair in like if pair[0].identity.get("options") == options] or like

    def seconds(self, kind: Kind, machine: Mapping[str, str], trained: bool = False) -> float | None:
        """How long a stage of a kind takes, from its start to its scores; None: unknown.

        Args:
            trained: it is, and only to be scored.
        """
        if not (like := self.like(kind, machine)):
            return None
        return median(
            stage.scoring_seconds + stage.other_seconds + (0.0 if trained else ratio * stage.trained.fit_seconds)
            for stage, ratio in like
        )

    def n_bytes(self, kind: Kind) -> int | None:
        """How much room a stage of a kind takes, on whatever machine; None: unknown."""
        like = self.like(kind, {})
        return round(median(stage.n_bytes for stage, _ in like)) if like else None

    def _known(self, kind: Kind) -> list[PastStage]:
        key = (kind.place, kind.method, kind.stage)
        if key not in self._stages:
            folders = kind.place.glob(f"{kind.method}-{kind.stage}-seed*") if kind.place.is_dir() else ()
            finished = sorted((_written(folder), folder) for folder in folders if (folder / "trained.json").exists())
            self._stages[key] = [stage for _, folder in finished[-MOST:] for stage in _read(folder)]
        return self._stages[key]


def length_ratio(options: Mapping[str, Any], then: Mapping[str, Any]) -> float | None:
    """How many times as long a training ``options`` ask for as ``then``; None where that cannot be said.

    ``images``, and ``gen1_images`` of one stage, override ``epochs``.
    """
    for unit in ("images", "epochs"):
        names = sorted(name for name in {*options, *then} if name == unit or name.endswith(f"_{unit}"))
        pairs = [(options.get(name), then.get(name)) for name in names if options.get(name) or then.get(name)]
        if pairs:
            ratios = {new / old if isinstance(new, int) and isinstance(old, int) else None for new, old in pairs}
            return ratios.pop() if len(ratios) == 1 else None
    return 1.0  # nothing says how long it is: all are alike


def _read(folder: Path) -> Iterator[PastStage]:
    """A trained stage; nothing where it is damaged."""
    with contextlib.suppress(RunsError, OSError):
        trained = StageFolder(folder).trained
        identity = read_json(folder / "identity.json")
        if trained is not None and isinstance(identity, dict):
            scoring, other = _seconds_beside(folder, trained.fit_seconds)
            yield PastStage(identity, trained, scoring, other, size_on_disk(folder))


def _seconds_beside(folder: Path, fit_seconds: float) -> tuple[float, float]:
    """What a stage took for scoring, and beside training and scoring: from its log, else from its scores."""
    lines = list(StageLog(folder).lines())
    trainings = [line for line in lines if line["event"] == "started" and line.get("work") == "train"]
    ends = [line for line in lines if line["event"] == "ended"]
    if ends:
        first = ends[0]
        scoring, total = _number(first.get("scoring_seconds")), _number(first.get("seconds"))
        unbroken = len(trainings) == 1 and len(ends) == len([line for line in lines if line["event"] == "started"])
        return scoring, max(1.0, total - scoring - fit_seconds) if unbroken else START_SECONDS
    folder_scores = StageFolder(folder)
    kept = [folder_scores.load_score(path.stem) for path in sorted(folder.glob("scores/*.npz"))]
    return max((score.embed_seconds for score in kept if score is not None), default=0.0), START_SECONDS


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def size_on_disk(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _written(folder: Path) -> float:
    try:
        return (folder / "trained.json").stat().st_mtime
    except OSError:
        return 0.0


def machine_of(conditions: Mapping[str, str], processes: int = 1) -> dict[str, str]:
    """What of the conditions of a number decides how fast a stage is."""
    return {**{name: conditions[name] for name in MACHINE if name in conditions}, "processes": str(processes)}

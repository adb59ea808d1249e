"""What is searched, and the folder of a search.

OUTPUT/tuning/LABEL-DATASET-ID/
    search.json   what is searched, and every trial with its accuracies; written after each round of trials
    trials.csv    the trials, a line each
    best.toml     a bench plan with the values that did best
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import HarnessError
from harness.common.files import write_json, write_text
from harness.runs import digest
from harness.runs.records import SearchRecord, TrialRecord, read
from harness.tuning.space import Space, as_json

if TYPE_CHECKING:
    from harness.contract.plan import BenchPlan

# What may change between two starts of one search: where it runs, not what it finds.
MACHINE = ("device", "devices", "threads", "rows", "predictions")


@dataclass(frozen=True)
class Search:
    """What is searched: one method on one dataset."""

    plan: BenchPlan  # with one method and one dataset; ``set`` holds the options that stay
    space: Mapping[str, Space]  # label.option → its possible values
    stage: str | None = None  # whose accuracy counts; None: the last
    seed: int = 0  # of the search, not of the trainings


@dataclass(frozen=True)
class SearchResult:
    """A search that is done."""

    folder: Path
    row: str  # LABEL/STAGE, or LABEL where there is one stage
    record: SearchRecord

    @property
    def trials(self) -> Sequence[TrialRecord]:
        return self.record.trials

    @property
    def best(self) -> TrialRecord | None:
        """The trial of the highest accuracy, the first of equals; None where all failed."""
        done = [trial for trial in self.trials if trial.accuracy is not None]
        return max(done, key=lambda trial: (trial.accuracy, -trial.number), default=None)


def identity_of(record: SearchRecord) -> str:
    """A digest of what is searched, whatever it runs on."""
    identity = record.model_dump(mode="json", exclude={"trials", "format"})
    identity["plan"] = {name: value for name, value in identity["plan"].items() if name not in MACHINE}
    return digest(identity)[:12]


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise HarnessError(f"another process is at work on the search in {folder}: wait for it") from None
    except OSError as error:
        raise HarnessError(f"cannot write to {folder}: {error.strerror}. Choose another --output") from None
    try:
        yield
    finally:
        lock.release()


def read_trials(folder: Path) -> list[TrialRecord]:
    path = folder / "search.json"
    return list(read(SearchRecord, path).trials) if path.exists() else []


def write_record(folder: Path, record: SearchRecord, trials: Sequence[TrialRecord]) -> None:
    whole = record.model_copy(update={"trials": tuple(trials)})
    write_json(folder / "search.json", whole.model_dump(mode="json"))


def write_results(result: SearchResult, search: Search) -> None:
    """Write the trials as a table, and a plan that benches the best of them."""
    import pandas as pd

    lines = [
        {
            "trial": trial.number + 1,
            **{name: as_json(value) for name, value in trial.values.items()},
            "accuracy": trial.accuracy,
            **{setting: numbers.mean for setting, numbers in trial.settings.items()},
            "failure": trial.failure,
        }
        for trial in result.trials
    ]
    write_text(result.folder / "trials.csv", pd.DataFrame(lines).to_csv(index=False))
    if result.best is not None:
        write_text(result.folder / "best.toml", as_toml(search.plan, {**search.plan.set, **result.best.values}))


def as_toml(plan: BenchPlan, settings: Mapping[str, Any]) -> str:
    """A bench plan: what ``plan`` changes from the defaults, with these settings."""
    changed_fields = plan.model_dump(
        mode="json", exclude_defaults=True, exclude={"set", "sweep", "rows", "score_on", *MACHINE}
    )
    lines = [f"{name} = {as_json(value)}" for name, value in changed_fields.items() if value is not None]
    unset = [f"# TOML cannot say it: add --set {name}=None" for name, value in settings.items() if value is None]
    options = [f"{as_json(name)} = {as_json(value)}" for name, value in settings.items() if value is not None]
    return "\n".join([*lines, "", "[set]", *options, *unset, ""])


def describe_trial(trial: TrialRecord) -> str:
    values = ", ".join(f"{name}={as_json(value)}" for name, value in trial.values.items())
    return f"{values}: {f'{100 * trial.accuracy:.2f} %' if trial.accuracy is not None else f'failed ({trial.failure})'}"

"""Options of a method chosen on validation episodes, by Optuna. The novel classes are never opened.

Trial n depends on what is searched, the seed, n and the trials before it (before its round, where several are chosen
at once), so a search that was killed goes on with the very trial in which it was killed, whose trained stages and
checkpoints are there. Optuna's own storages do not give that: a seeded sampler that is made anew proposes its first
values again, and half a line makes a journal unreadable.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.bench import bench
from harness.bench.entries import Entry, entries
from harness.bench.events import BenchStarted
from harness.bench.table import data_source
from harness.common.errors import HarnessError
from harness.contract.names import MethodReference, OptionName, RowName
from harness.contract.results import StageFailure
from harness.execution.events import JobDone, JobEvent, Note
from harness.runs import StageFolder
from harness.runs.records import SearchRecord, SettingRecord, StageRecord, TrialRecord
from harness.tuning.record import (
    Search,
    SearchResult,
    describe_trial,
    identity_of,
    lock_folder,
    read_trials,
    write_record,
    write_results,
)
from harness.tuning.space import Choices, Space, as_json, propose, require_optuna

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.plan import BenchPlan
    from harness.contract.results import StageResult
    from harness.execution.executor import Executor


@dataclass(frozen=True)
class OpenSearch:
    """A search that fits its method and its data, and where it is kept."""

    search: Search
    entry: Entry  # of the method, with the options that stay
    record: SearchRecord  # of no trial yet
    folder: Path

    def next_values(self, trials: Sequence[TrialRecord], count: int) -> list[Mapping[str, Any]]:
        """Up to ``count`` choices of values to try after ``trials``; fewer where the space has no more.

        The first of all is the preset's, where it lies in the space.
        """
        tried = [(trial.values, trial.accuracy) for trial in trials]
        start = None if trials else _preset_values(self.search, self.entry)
        chosen: list[Mapping[str, Any]] = [start] if start else []
        while len(chosen) < count:
            values = propose(self.search.space, tried, self.search.seed, chosen)
            if values is None:
                break
            chosen.append(values)
        return chosen


def open_search(search: Search, catalogue: Catalogue, output: Path, root: Path) -> OpenSearch:
    """A search, checked against its method and its data.

    Raises:
        HarnessError: Optuna is missing, the dataset has no validation classes, or a value is refused by its option.
    """
    require_optuna()
    plan = search.plan.model_copy(
        update={"score_on": "val", "floors": False, "baseline": None, "equivalent": None, "predictions": False}
    )
    search = replace(search, plan=plan, space=_check_space(search, plan, catalogue))
    source = data_source(plan, plan.dataset[0], root)
    dataset = source.open(catalogue)
    entry = _entry(plan, {}, catalogue)
    spaces = {name: {"kind": type(space).__name__.lower(), **asdict(space)} for name, space in search.space.items()}
    record = SearchRecord(
        plan=plan,
        space=spaces,
        stage=search.stage,
        seed=search.seed,
        data_fingerprint=dataset.fingerprint,
        validation_classes=source.scored(dataset).n_classes,
        versions={stage.name: stage.version for stage in entry.method.stages(entry.options)},
    )
    folder = output / "tuning" / f"{entry.label}-{plan.dataset[0].replace('/', '_')}-{identity_of(record)}"
    return OpenSearch(search, entry, record, folder)


def tune(
    search: Search,
    n_trials: int,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    root: Path,
    observe: Callable[[Any], None] = lambda event: None,
    at_once: int = 1,
) -> SearchResult:
    """Train and score up to ``n_trials`` choices of values, those of an earlier start of this search included.

    The first trial has the values of the preset, where they lie in the space. A space with fewer choices than
    ``n_trials`` is searched whole. Stages that choices share are trained once.

    Args:
        output: the run folder; trained stages are found there by a later ``harness bench``.
        root: the folder of prepared datasets.
        observe: is told what harness.execution.events defines.
        at_once: trials whose values are chosen together, without knowing how the others do, and handed to the executor
            together, which a cluster trains side by side.
    Raises:
        HarnessError: Optuna is missing, the dataset has no validation classes, a value is refused by its option, or
            another process is at work on this search.
    """
    opened = open_search(search, catalogue, output, root)
    search, record, folder = opened.search, opened.record, opened.folder
    with lock_folder(folder):
        trials = read_trials(folder)
        while len(trials) < n_trials:
            chosen = opened.next_values(trials, min(at_once, n_trials - len(trials)))
            if not chosen:
                observe(Note(f"all {len(trials)} choices of values are tried"))
                break
            tried = _run_trials(len(trials), chosen, search, catalogue, executor, output, root, observe)
            trials.extend(tried)
            write_record(folder, record, trials)
            for trial in tried:
                observe(Note(f"trial {trial.number + 1} of {n_trials}: {describe_trial(trial)}"))
        result = SearchResult(folder, _row(search, opened.entry), record.model_copy(update={"trials": tuple(trials)}))
        write_results(result, search)
        return result


def _run_trials(
    first: int,
    chosen: Sequence[Mapping[str, Any]],
    search: Search,
    catalogue: Catalogue,
    executor: Executor,
    output: Path,
    root: Path,
    observe: Callable[[Any], None],
) -> list[TrialRecord]:
    """Trials ``first``, ``first`` + 1, …: one bench on the validation classes."""
    together, rows = round_of(first, chosen, search, catalogue)
    died: list[str] = []

    def pass_on(event: Any) -> None:
        # The search is the work to be done, not one of its benches, and may name options that some trials do not read.
        if not isinstance(event, BenchStarted | Note):
            observe(event)
        if isinstance(event, JobEvent) and isinstance(event.event, JobDone) and _died(event.event.outcome):
            died.append(event.job.name)

    record = bench(together, catalogue, executor, output, root, pass_on, trial=True)
    if died:  # maybe by no fault of its values, which would be given up for good
        observe(Note(f"{', '.join(died)}: once more"))
        record = bench(together, catalogue, executor, output, root, pass_on, trial=True)
    stages = record.tables[0].stages
    return [
        _trial(number, values, [stage for stage in stages if stage.row == row], output)
        for number, (values, row) in enumerate(zip(chosen, rows, strict=True), first)
    ]


def round_of(
    first: int, chosen: Sequence[Mapping[str, Any]], search: Search, catalogue: Catalogue
) -> tuple[BenchPlan, list[str]]:
    """The bench of trials ``first``, ``first`` + 1, … on the validation classes, and the row of each."""
    plan = search.plan
    reference = MethodReference.parse(plan.methods[0])
    methods, settings, rows = [], {}, []
    for number, values in enumerate(chosen, first + 1):
        trial = reference.relabelled(f"{reference.label}-{number}")
        methods.append(str(trial))
        for name, value in {**plan.set, **values}.items():
            settings[str(OptionName(trial.label, OptionName.parse(name).option))] = value
        entry = _entry(plan, values, catalogue)
        row = RowName.parse(_row(search, entry))
        rows.append(str(RowName(trial.label, row.stage)))
    together = plan.model_copy(
        update={
            "methods": tuple(methods),
            "set": settings,
            "rows": tuple(map(glob.escape, rows)),
            "weights": entry.weights,  # the plan may name them for the method's own label
        }
    )
    return together, rows


def _died(outcome: StageResult | StageFailure) -> bool:
    return isinstance(outcome, StageFailure) and outcome.died


def _trial(number: int, values: Mapping[str, Any], stages: Sequence[StageRecord], output: Path) -> TrialRecord:
    """What became of a trial's row, a stage a seed."""
    failures = [f"seed {stage.seed}: {stage.failure}" for stage in stages if stage.failure]
    if failures:
        return TrialRecord(number=number, values=values, accuracy=None, settings={}, failure="; ".join(failures))
    settings = _settings(stages, output)
    accuracy = sum(setting.mean for setting in settings.values()) / len(settings)
    return TrialRecord(number=number, values=values, accuracy=accuracy, settings=settings)


def _settings(stages: Sequence[StageRecord], output: Path) -> dict[str, SettingRecord]:
    """Mean accuracy and closed interval in each setting, over the seeds of a stage."""
    import numpy as np

    from harness.statistics.intervals import closed_interval

    by_seed: dict[str, list[np.ndarray]] = {}
    for stage in stages:
        for key in stage.scores:
            kept = StageFolder(output / stage.folder).load_score(key)
            if kept is not None and kept.score.target == "closed":
                by_seed.setdefault(str(kept.score.episodes), []).append(kept.score.accuracies)
    records = {}
    for setting, accuracies in by_seed.items():
        closed = closed_interval(np.mean(accuracies, axis=0))
        records[setting] = SettingRecord(mean=float(closed.mean), half_width=float(closed.half_width))
    return records


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────


def _check_space(search: Search, plan: BenchPlan, catalogue: Catalogue) -> dict[str, Space]:
    """The space with its values as the options hold them: 2.0 of an option that is a float, where 2 was given.

    Raises:
        HarnessError: too many methods or datasets, nothing to search, or a value that its option refuses.
    """
    if len(plan.methods) != 1 or len(plan.dataset) != 1:
        raise HarnessError("a search is about one method on one dataset")
    if plan.train_on != "train" or plan.test_dataset is not None or plan.sweep:
        raise HarnessError(
            "a search scores on the dataset's own validation classes: no trainval, test dataset or sweep"
        )
    if not search.space:
        raise HarnessError(
            "nothing to search: give a range (--set skd.beta=0.025..0.5) or a list (--set skd.alpha=1,2,4)"
        )
    checked_space: dict[str, Space] = {}
    tried: list[Entry] = []
    for name, space in search.space.items():
        held = [_entry(plan, {name: value}, catalogue) for value in space.extremes]
        values = tuple(entry.options.model_dump(mode="json")[OptionName.parse(name).option] for entry in held)
        chosen = {as_json(value): value for value in values}  # 0 and 0.0 of a float are one value
        if len(chosen) < 2:
            raise HarnessError(f"--set {name}: its values are all {next(iter(chosen))}, so there is nothing to search")
        checked_space[name] = Choices(tuple(chosen.values())) if isinstance(space, Choices) else space
        tried += held
    reads = set().union(*(entry.reads(_stage(search, entry)) for entry in tried))
    for option in (OptionName.parse(name).option for name in checked_space):
        if option not in reads:
            raise HarnessError(f"{_row(search, tried[0])} does not read {option!r}: all its values would do alike")
    return checked_space


def _entry(plan: BenchPlan, values: Mapping[str, Any], catalogue: Catalogue) -> Entry:
    (entry,) = entries(plan.model_copy(update={"set": {**plan.set, **values}}), plan.dataset[0], catalogue)
    return entry


def _stage(search: Search, entry: Entry) -> str:
    """The stage that is scored: the one asked for, else the last."""
    stages = [stage.name for stage in entry.method.stages(entry.options)]
    name = search.stage or stages[-1]
    if name not in stages:
        raise HarnessError(
            f"{entry.label} has no stage {name!r} with every value searched. Stages: {', '.join(stages)}"
        )
    return name


def _row(search: Search, entry: Entry) -> str:
    name = _stage(search, entry)
    return str(RowName(entry.label, name if len(entry.method.stages(entry.options)) > 1 else None))


def _preset_values(search: Search, entry: Entry) -> dict[str, Any] | None:
    """The values that the preset has, or None where the space leaves one of them out."""
    options = entry.options.model_dump(mode="json")
    values = {name: options[OptionName.parse(name).option] for name in search.space}
    return values if all(values[name] in space for name, space in search.space.items()) else None

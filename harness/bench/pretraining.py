"""A row of another run as the start of a training: ``--weights RUN:ROW``, and what a table then has to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import RunsError, UnknownName
from harness.runs import StageFolder
from harness.runs.benches import find_benches, load_benches, split_reference
from harness.runs.records import PretrainingRecord

if TYPE_CHECKING:
    from harness.contract.plan import BenchPlan
    from harness.runs.records import BenchRecord, StageRecord, TableRecord, TrainedRecord


@dataclass(frozen=True)
class RowOfRun:
    """A row as ``--weights`` names it: ``RUN:ROW``, or ``RUN:ROW:SEED`` for the weights of one seed.

    RUN is a run folder, the ID of a bench in the folder that this bench writes to, or ``FOLDER:ID``.
    """

    run: str
    row: str
    seed: int | None = None  # None: each training starts from the row's seed of its own number

    @classmethod
    def parse(cls, text: str) -> RowOfRun | None:
        """None where ``text`` has another form."""
        parts = text.split(":")
        seed = int(parts.pop()) if len(parts) > 2 and parts[-1].isdecimal() else None
        run, row = ":".join(parts[:-1]), parts[-1]
        return cls(run, row, seed) if run and row else None


@dataclass(frozen=True)
class Beginning:
    """The training that is to begin from a row."""

    label: str
    backbone: str
    seed: int
    dataset: str
    data: str  # fingerprint of the split that it is trained on


@dataclass(frozen=True)
class _Source:
    """One seed of the row, in one bench."""

    folder: StageFolder
    bench: BenchRecord
    table: TableRecord
    stage: StageRecord


def row_weights(text: str, training: Beginning, plan: BenchPlan, output: Path) -> tuple[Path, PretrainingRecord]:
    """The file of weights that the row left behind, and what it was trained on.

    Args:
        text: ``RUN:ROW`` or ``RUN:ROW:SEED``.
        plan: of the bench that asks.
        output: its run folder.
    Raises:
        RunsError: no such run, a row of another backbone, a seed that is missing, or weights that are not kept.
        UnknownName: no such row.
    """
    asked, label, seed = RowOfRun.parse(text), training.label, training.seed
    given = f"--weights {label}={text}"
    if asked is None:
        raise RunsError(f"{given}: write it as RUN:ROW")
    sources = _sources(asked, given, training.dataset, plan, output)
    number = asked.seed if asked.seed is not None else seed if len(sources) > 1 else next(iter(sources))
    if number not in sources:
        seeds = ", ".join(map(str, sorted(sources)))
        raise RunsError(
            f"{given}: {asked.row} was trained with the seeds {seeds}, not with {number}. Name one for all: "
            f"{label}={asked.run}:{asked.row}:{min(sources)}"
        )
    source = sources[number]
    name = f"{asked.row} seed {number}"
    file, trained = _kept_weights(source, f"{given}: {name}", training)
    identity = source.folder.identity
    same = identity is not None and identity.data == training.data
    return file, PretrainingRecord(
        bench=source.bench.id,
        row=asked.row,
        seed=number,
        key=source.stage.key,
        weights_sha256=trained.weights_sha256,
        dataset=source.table.dataset,
        train_on=source.table.train_on,
        n_classes=trained.n_classes,
        same_data=same,
        may_know_novel=not same and _may_overlap(source, training.dataset, plan),
        before=_before(source.stage),
    )


def _kept_weights(source: _Source, name: str, training: Beginning) -> tuple[Path, TrainedRecord]:
    """The file of weights of a row, and what its training cost. RunsError where it is none for this training."""
    stage, trained = source.stage, source.folder.trained
    if stage.floor or trained is None or stage.failure is not None:
        reason = "it is a floor" if stage.floor else stage.failure or f"{source.folder.path} is gone"
        raise RunsError(f"{name} is not trained: {reason}")
    if stage.backbone != training.backbone:
        instead = f": --backbone {stage.backbone}" if stage.backbone else ""
        theirs, ours = stage.backbone or "(none)", training.backbone
        raise RunsError(f"{name} has the backbone {theirs}, and {training.label} here {ours}{instead}")
    file = source.folder.path / "weights.safetensors"
    if not file.is_file():
        raise RunsError(
            f"{name}: its weights are not kept in {source.folder.path}. Train it again, or import them: harness runs "
            "export --weights, harness runs import"
        )
    return file, trained


def _sources(asked: RowOfRun, given: str, dataset: str, plan: BenchPlan, output: Path) -> Mapping[int, _Source]:
    """Seed → where the row is trained with it."""
    folder, benches = _benches(asked, given, output)
    if folder == Path(asked.run).expanduser():
        # What was made of this very request has a row of the same name as often as not, and is never its own start: the
        # same command means the same the second time.
        benches = [bench for bench in benches if bench.plan.weights != plan.weights]
    sources: dict[int, _Source] = {}
    of_seed: dict[int, dict[str, str]] = {}  # seed → key → a bench that has it
    names: dict[str, Any] = {}
    for bench in benches:
        names |= dict.fromkeys(stage.row for table in bench.tables for stage in table.stages if not stage.floor)
        for table, stage in _stages(bench, asked.row, given, dataset):
            sources[stage.seed] = _Source(StageFolder(folder / stage.folder), bench, table, stage)
            of_seed.setdefault(stage.seed, {})[stage.key] = bench.id
    if not sources:
        raise UnknownName(f"row in --weights {asked.run}:ROW", asked.row, names, "Rows")
    for seed, keys in of_seed.items():
        if len(keys) > 1 and asked.seed in (None, seed):
            raise RunsError(
                f"{given}: benches {', '.join(keys.values())} of {folder} have different rows {asked.row}: name one, "
                f"{folder}:{next(reversed(keys.values()))}:{asked.row}"
            )
    return sources


def _benches(asked: RowOfRun, given: str, output: Path) -> tuple[Path, list[BenchRecord]]:
    """The run folder that is meant, and its benches that are, oldest first."""
    folder, which = split_reference(str(Path(asked.run).expanduser()), output)
    if asked.run == "last" or asked.run.endswith(":last"):
        raise RunsError(f"{given}: give the ID, as harness runs list prints it; what is last changes with each bench")
    if folder == Path(asked.run).expanduser():
        return folder, load_benches(folder)
    try:
        return folder, find_benches(folder, which)
    except RunsError as error:
        raise RunsError(f"{given}: no such file, and {asked.run} is no run folder and no bench: {error}") from None


def _stages(bench: BenchRecord, row: str, given: str, dataset: str) -> list[tuple[TableRecord, StageRecord]]:
    """The stages behind a row of a bench, a seed each: those on ``dataset`` where it has the row on several."""
    tables = [table for table in bench.tables if any(_is_of(stage, row) for stage in table.stages)]
    chosen = [table for table in tables if table.dataset == dataset] or tables
    if len(chosen) > 1:
        names = ", ".join(table.dataset for table in chosen)
        raise RunsError(
            f"{given}: bench {bench.id} has {row} on {names}, none of which is {dataset}: give the file, "
            "weights.safetensors in the folder of the stage (harness runs show)"
        )
    return [(table, stage) for table in chosen for stage in table.stages if _is_of(stage, row)]


def _is_of(stage: StageRecord, row: str) -> bool:
    """Whether a stage is behind a row of that name; ``LABEL/STAGE`` also where the method had that stage alone."""
    return row in (stage.row, f"{stage.label}/{stage.stage}")


def _may_overlap(source: _Source, dataset: str, plan: BenchPlan) -> bool:
    """Whether a row that was trained on other classes than ours may have seen those that we are scored on."""
    ours, theirs = plan, source.bench.plan
    if source.table.dataset != (ours.test_dataset or dataset):
        return False  # what other datasets have in common with ours is for the reader to judge
    same_split = (ours.split, ours.split_seed) == (theirs.split, theirs.split_seed)
    return not same_split or (source.table.train_on == "trainval" and ours.score_on == "val")


def _before(stage: StageRecord) -> str:
    """What the row itself started from; empty where its backbone was untrained."""
    if stage.pretraining is None:
        return stage.weights or ""
    return "; before ".join(
        filter(None, [f"{stage.pretraining.row} on {stage.pretraining.dataset}", stage.pretraining.before])
    )

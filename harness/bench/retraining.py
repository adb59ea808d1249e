"""The jobs that train recorded stages again, in another run folder: with the options, threads and data that they had.

What decides their weights must be what it was, or there is nothing to compare: a method of another version, other
images or other options are told before anything is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.checks import check_backbones, starting_weights
from harness.bench.entries import Entry
from harness.bench.jobs import stage_jobs
from harness.bench.recorded import options_of, recorded_folder
from harness.bench.table import BenchTable, data_source, episode_plan, episodes_record
from harness.bench.weights import is_there
from harness.common.errors import RunsError
from harness.contract.plan import PRETRAINED
from harness.hardware.request import HardwareRequest
from harness.runs import StageFolder
from harness.runs.deciding import SHOWN, changed_parts

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset
    from harness.contract.plan import BenchPlan
    from harness.execution.job import StageJob
    from harness.runs.record_base import EpisodesRecord
    from harness.runs.records import BenchRecord, StageRecord, TableRecord


@dataclass(frozen=True)
class Asked:
    """Which part of a bench is trained again, and what is to be other than it was. None: all of it, as it was."""

    row: str | None = None
    seed: int | None = None
    dataset: str | None = None
    machine: Mapping[str, Any] | None = None  # fields of HardwareRequest
    weights: Path | None = None  # where the file that backbones started from is now


@dataclass(frozen=True)
class Trained:
    """A stage of a row that was trained before, and is to be trained again."""

    table: TableRecord
    record: StageRecord
    folder: StageFolder


def tables_again(
    bench: BenchRecord,
    trained: Sequence[Trained],
    asked: Asked,
    catalogue: Catalogue,
    output: Path,
    again: Path,
    root: Path,
) -> list[BenchTable]:
    """The jobs that train these stages again, and the stages that they are trained from, in the folder ``again``.

    Raises:
        HarnessError: a method, backbone or classifier is not installed, or the data are not here.
        RunsError: what decides the weights or the episodes is not what it was.
    """
    datasets = dict.fromkeys(stage.table.dataset for stage in trained)
    return [
        _Again(bench.plan, asked, catalogue, output, again, root).table(
            [stage for stage in trained if stage.table.dataset == dataset]
        )
        for dataset in datasets
    ]


@dataclass(frozen=True)
class _Again:
    """What makes jobs of recorded stages, to be trained in the folder ``again``."""

    plan: BenchPlan
    asked: Asked
    catalogue: Catalogue
    output: Path
    again: Path
    root: Path

    def table(self, trained: Sequence[Trained]) -> BenchTable:
        """The jobs of stages of one dataset."""
        recorded, shown = trained[0].table, {stage.record.key for stage in trained}
        needed = _with_parents(recorded, shown)
        for record in needed:
            self.catalogue.method(record.method)  # what is not installed is told before the data are opened
        source = data_source(self.plan, recorded.dataset, self.root)
        dataset = source.open(self.catalogue)
        protocol = episode_plan(self.plan, any(kind.dirichlet for kind in recorded.episodes))
        jobs: dict[StageJob, StageRecord] = {}
        for records in _by_label_and_seed(needed):
            first, entry = records[0], self._entry(records[0], recorded.dataset, dataset)
            made = stage_jobs(self.plan, entry, first.seed, source, dataset, protocol, self.again, self.catalogue)
            by_stage = {job.stage: job for job in made}
            for record in records:
                job = self._job(record, by_stage)
                as_now = {"folder": str(job.folder.relative_to(self.again)), "shown": record.key in shown}
                jobs[job] = record.model_copy(update=as_now)
        episodes = protocol.sample(source.scored(dataset))
        _refuse_other_episodes(recorded, dataset, tuple(map(episodes_record, episodes)))
        check_backbones(jobs, dataset, self.catalogue)
        return BenchTable(source, dataset, episodes, [], list(jobs), {}, (), jobs)

    def _entry(self, record: StageRecord, name: str, dataset: Dataset) -> Entry:
        method = self.catalogue.method(record.method)
        entry = Entry(
            label=record.label,
            method=method,
            preset=record.preset or "",
            options=options_of(method, record.label, record.options),
            backbone=record.backbone,
            head=record.head,
            transductive=record.transductive,
            weights=record.weights,
        )
        if record.weights in (None, PRETRAINED):
            return entry
        if self.asked.weights is not None:
            return replace(entry, weights=str(self.asked.weights))
        if not is_there(str(record.weights)) and record.pretraining is None:
            raise RunsError(f"{named(record)} started from {record.weights}, which is not here: say --weights FILE")
        # A row of another bench is looked for beside the one that is trained again, not where that is done.
        file, _ = starting_weights(self.plan, entry, record.seed, name, dataset.train, self.output, self.catalogue)
        return replace(entry, weights=str(file))

    def _job(self, record: StageRecord, by_stage: Mapping[str, StageJob]) -> StageJob:
        """The job of a stage, on as many threads and in the precision that it was trained with."""
        folder = StageFolder(recorded_folder(self.output, record))
        trained, identity, job = folder.trained, folder.identity, by_stage.get(record.stage)
        then = trained.conditions if trained else {}
        if job is None:
            changed = [f"{record.method} as it is installed has no stage {record.stage!r} under these options"]
        elif job.key == record.key:
            changed = []
        else:
            changed = ["what decides it is not known, for its identity.json is gone"]
            if identity is not None:
                changed = list(changed_parts(identity, job.identity)) or ["the code that trains all methods"]
        if changed or job is None:
            version = f" (harness {then['harness']})" if "harness" in then else ""
            raise RunsError(
                f"{named(record)} cannot be trained again as it was, for this changed: {'; '.join(changed)}. Give the "
                f"data that it was trained on and install the versions that trained it{version}"
            )
        machine = {
            "device": self.plan.device,
            "devices": self.plan.devices,
            "precision": then.get("precision", self.plan.precision),
            "threads": int(then["threads"]) if then.get("threads", "").isdecimal() else self.plan.threads,
        }
        return replace(job, machine=HardwareRequest(**{**machine, **(self.asked.machine or {})}))


def _with_parents(table: TableRecord, keys: set[str]) -> list[StageRecord]:
    """The stages of these keys, and all that they are trained from, in the order of the bench."""
    needed = set(keys)
    for record in reversed(table.stages):  # each comes after its parents
        if record.key in needed:
            needed.update(record.parents)
    return [record for record in table.stages if record.key in needed]


def _by_label_and_seed(records: Sequence[StageRecord]) -> list[list[StageRecord]]:
    groups: dict[tuple[str, int], list[StageRecord]] = {}
    for record in records:
        groups.setdefault((record.label, record.seed), []).append(record)
    return list(groups.values())


def _refuse_other_episodes(recorded: TableRecord, dataset: Dataset, now: tuple[EpisodesRecord, ...]) -> None:
    """Raises RunsError where the episodes drawn here are not those that were recorded."""
    if now == recorded.episodes:
        return
    where = recorded.dataset + (f" → {recorded.test_dataset}" if recorded.test_dataset else "")
    if dataset.fingerprint != recorded.data_fingerprint:
        raise RunsError(
            f"{where} holds other images here ({dataset.fingerprint[:SHOWN]}) than the bench was scored on "
            f"({recorded.data_fingerprint[:SHOWN]}): give the data of then"
        )
    raise RunsError(
        f"the episodes of {where} are drawn otherwise by this version of the harness, though the images are the same: "
        "install the version that made the bench (harness runs show names it)"
    )


def named(record: StageRecord) -> str:
    return f"{record.row} seed {record.seed}"

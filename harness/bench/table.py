"""One dataset of a bench: its episodes, its jobs and what became of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.entries import Entry, entries, episode_specs
from harness.bench.jobs import stage_jobs
from harness.common.errors import UnknownName
from harness.contract.results import StageFailure, StageResult
from harness.episodes.plan import EpisodePlan
from harness.execution.source import DataSource
from harness.reports.build import stage_marks
from harness.runs.record_base import EpisodesRecord
from harness.runs.records import StageRecord, TableRecord

if TYPE_CHECKING:
    from harness.catalogue.catalogue import Catalogue
    from harness.contract.data import Dataset, Split
    from harness.contract.episodes import Episodes
    from harness.contract.plan import BenchPlan
    from harness.execution.job import StageJob


@dataclass(frozen=True, eq=False)
class BenchTable:
    """One dataset of a bench: its episodes, its jobs and what became of them."""

    source: DataSource
    dataset: Dataset
    episodes: list[Episodes]
    entries: list[Entry]
    jobs: list[StageJob]
    outcomes: dict[StageJob, StageResult | StageFailure]
    rows: tuple[str, ...] = ()  # patterns of the rows to show; empty: all
    recorded: Mapping[StageJob, StageRecord] = field(default_factory=dict)  # of jobs that are only scored again

    def row(self, job: StageJob) -> str:
        """The name of a job's row: LABEL/STAGE, or LABEL where the method has one stage."""
        if job in self.recorded:
            return self.recorded[job].row
        entry = self._entry(job)
        return job.name if len(entry.method.stages(entry.options)) > 1 else job.label

    def shows(self, job: StageJob) -> bool:
        """Whether a job has a row. Without one it is there because another is trained from it."""
        return not self.rows or any(fnmatch.fnmatchcase(self.row(job), pattern) for pattern in self.rows)

    def _entry(self, job: StageJob) -> Entry:
        return next(entry for entry in self.entries if entry.label == job.label)

    @property
    def scored(self) -> Split:
        """What the episodes are drawn from."""
        return self.source.scored(self.dataset)

    def scores(self, job: StageJob) -> list[str]:
        return [job.score_key(episodes) for episodes in self.episodes]

    def record(self, output: Path) -> TableRecord:
        return TableRecord(
            dataset=self.source.dataset,
            test_dataset=self.source.test_dataset,
            train_on=self.source.train_on,
            notes=self.dataset.notes,
            partial=self.dataset.partial,
            data_fingerprint=self.dataset.fingerprint,
            score_on=self.source.score_on,
            n_test_classes=self.scored.n_classes,
            split_fingerprint=self.scored.fingerprint,
            episodes=tuple(map(episodes_record, self.episodes)),
            stages=tuple(self._stage(job, output) for job in self.jobs),
        )

    def _stage(self, job: StageJob, output: Path) -> StageRecord:
        outcome = self.outcomes[job]
        became = {
            "scores": tuple(self.scores(job)),
            "failure": outcome.error if isinstance(outcome, StageFailure) else None,
            "marks": tuple(mark.reason for mark in stage_marks(outcome, job.seed)),
        }
        if job in self.recorded:
            return self.recorded[job].model_copy(update=became)
        entry = self._entry(job)
        return StageRecord(
            **became,
            label=job.label,
            method=job.method,
            stage=job.stage,
            row=self.row(job),
            shown=self.shows(job),
            preset=entry.preset if entry.method.presets else None,
            changed=tuple(entry.changed_for(job.stage)),
            note=entry.note(self.dataset.spec.name),
            floor=entry.method.floor,
            transductive=entry.transductive,
            backbone=job.backbone,
            weights=entry.weights,
            pretraining=job.pretraining,
            head=job.head,
            options=dict(job.options),
            seed=job.seed,
            key=job.key,
            parents=job.identity.parents,
            folder=str(job.folder.relative_to(output)),
        )


def episodes_record(episodes: Episodes) -> EpisodesRecord:
    return EpisodesRecord(
        **asdict(episodes.spec), target=episodes.target, n=len(episodes), fingerprint=episodes.fingerprint
    )


def open_table(plan: BenchPlan, name: str, catalogue: Catalogue, output: Path, root: Path) -> BenchTable:
    table_entries = entries(plan, name, catalogue)
    source = data_source(plan, name, root)
    dataset = source.open(catalogue)
    protocol = episode_plan(plan, any(entry.transductive for entry in table_entries))
    episodes = protocol.sample(source.scored(dataset))
    jobs = [
        job
        for seed in plan.seeds
        for entry in table_entries
        for job in stage_jobs(plan, entry, seed, source, dataset, protocol, output, catalogue)
    ]
    table = BenchTable(source, dataset, episodes, table_entries, jobs, {}, plan.rows)
    return replace(table, jobs=_needed(table))


def episode_plan(plan: BenchPlan, transductive: bool) -> EpisodePlan:
    """The episodes of a table. ``transductive``: a row's scores depend on the other queries, so unbalanced ones too."""
    balanced = EpisodePlan(tuple(episode_specs(plan)), plan.episodes, plan.episode_seed)
    return balanced.with_unbalanced() if transductive else balanced


def data_source(plan: BenchPlan, name: str, root: Path) -> DataSource:
    return DataSource(
        name,
        root,
        plan.train_on,
        plan.test_dataset,
        plan.image_size,
        plan.score_on,
        plan.split,
        plan.split_seed,
        plan.skip_damaged,
    )


def _needed(table: BenchTable) -> list[StageJob]:
    """The jobs that have a row, and those that they are trained from."""
    names = {table.row(job) for job in table.jobs}
    for pattern in table.rows:
        if not fnmatch.filter(names, pattern):
            raise UnknownName("row in --rows", pattern, names, "Rows")
    needed = {job.key for job in table.jobs if table.shows(job)}
    for job in reversed(table.jobs):  # each comes after its parents
        if job.key in needed:
            needed.update(job.identity.parents)
    return [job for job in table.jobs if job.key in needed]

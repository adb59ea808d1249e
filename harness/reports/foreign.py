"""Rows of somebody else's bench, read from a small file each: harness runs export --row wrote it.

They are put beside the rows of a table on the same episodes, and tested against them, without weights, data or GPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.errors import RunsError
from harness.common.files import parse_json
from harness.common.text import CONTROL, n_bytes_shown
from harness.contract.results import Score, StageResult
from harness.reports.model import Row
from harness.runs.handed_on import RowRecord
from harness.runs.identity import digest
from harness.runs.records import parse

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Cell, Mark, Setting
    from harness.runs.record_base import EpisodesRecord

MOST_BYTES = 256 * 2**20  # 10,000 episodes of 4 kinds with 10 seeds are 8 MB
SHOWN = 12  # digits of a fingerprint


@dataclass(frozen=True)
class TableEpisodes:
    """What the episodes of a table are, for a row that may have met them."""

    dataset: str
    test_dataset: str | None
    score_on: str
    fingerprints: Mapping[Setting, str]

    @classmethod
    def of(
        cls, dataset: str, test_dataset: str | None, score_on: str, episodes: Iterable[EpisodesRecord]
    ) -> TableEpisodes:
        return cls(dataset, test_dataset, score_on, {(kind.spec, kind.target): kind.fingerprint for kind in episodes})


@dataclass(frozen=True)
class ForeignRow:
    """A row from a file."""

    record: RowRecord
    file: str  # its name, which tells it from this bench's rows

    @property
    def name(self) -> str:
        """As a table prints it and ``--baseline`` names it: ``theirs.json:rfs/simple``."""
        return f"{self.file}:{self.record.row}"

    @cached_property
    def _fingerprints(self) -> dict[Setting, str]:
        return {(part.episodes.spec, part.episodes.target): part.episodes.fingerprint for part in self.record.settings}

    def belongs_to(self, table: TableEpisodes) -> bool:
        """Whether it is of the table's dataset, by name, or by the fingerprint of some of its episodes."""
        record = self.record
        named = (record.dataset, record.test_dataset, record.score_on)
        shared = set(self._fingerprints.values()) & set(table.fingerprints.values())
        return named == (table.dataset, table.test_dataset, table.score_on) or bool(shared)

    def refuse_other_episodes(self, table: TableEpisodes) -> None:
        """Raises RunsError where a setting of both has other episodes, or no setting is of both."""
        both = [setting for setting in table.fingerprints if setting in self._fingerprints]
        for setting in both:
            theirs, here = self._fingerprints[setting], table.fingerprints[setting]
            if theirs != here:
                raise RunsError(
                    f"{self.file} met other episodes ({setting[0]}, {setting[1]}: {theirs[:SHOWN]}, here "
                    f"{here[:SHOWN]}), so it cannot stand in this table: score with the data, episode seed "
                    f"({self.record.plan.episode_seed}), queries ({self.record.plan.queries}) and number of episodes "
                    f"({self.record.plan.episodes}) that it was scored with"
                )
        if not both:
            settings = ", ".join(dict.fromkeys(str(spec) for spec, _ in self._fingerprints))
            raise RunsError(f"{self.file} has no setting of this table: it has {settings}")

    def results(self, table: TableEpisodes) -> list[StageResult]:
        """What it reached in the settings of the table, a seed each."""
        record = self.record
        scores: list[list[Score]] = [[] for _ in record.seeds]
        for part in record.settings:
            if (part.episodes.spec, part.episodes.target) in table.fingerprints:
                classes = np.array(part.classes, np.int64)
                for of_seed, accuracies, spread in zip(scores, part.accuracies, part.feature_spreads, strict=True):
                    values = np.array(accuracies, np.float64)
                    kind = part.episodes
                    of_seed.append(
                        Score(kind.spec, kind.target, kind.fingerprint, values, classes, part.n_classes, spread)
                    )
        return [
            StageResult(key, tuple(of_seed), None, record.fit_seconds, 0.0, None, None, record.conditions)
            for key, of_seed in zip(record.keys, scores, strict=True)
        ]

    def row(self, cells: Mapping[EpisodeSpec, Cell], marks: Sequence[Mark], data_fingerprint: str) -> Row:
        """The row as a table on these data prints it; its label, too, is told from the table's."""
        record = self.record
        return Row(
            label=f"{self.file}:{record.label}",
            stage=record.stage,
            method=record.method,
            name=self.name,
            preset=record.preset,
            changed=record.changed,
            backbone=record.backbone,
            head=record.head,
            floor=record.floor,
            transductive=record.transductive,
            seeds=record.seeds,
            cells=cells,
            images_seen=record.images_seen,
            flops=record.flops,
            fit_seconds=record.fit_seconds,
            peak_memory_bytes=record.peak_memory_bytes,
            conditions=record.conditions,
            history=(),
            failure=None,
            marks=tuple(marks),
            options=record.options,
            weights=record.weights,
            pretrained=record.pretrained,
            note=record.note,
            source=self.source(data_fingerprint),
            identity=record.sha256,
        )

    def source(self, data_fingerprint: str) -> str:
        """Where it is from, for the conditions of a table whose data have this fingerprint."""
        record = self.record
        closed = [part.episodes.fingerprint[:8] for part in record.settings if part.episodes.target == "closed"]
        other = "" if record.data_fingerprint == data_fingerprint else ", other data than this table's"
        return (
            f"not of this run folder but from the file {self.file} (sha256 {record.sha256[:16]}): {record.row} of "
            f"bench {record.bench}, ended {record.created}, preset {record.preset or '-'}, seeds "
            f"{', '.join(map(str, record.seeds))}, trained on {record.train_on}; fingerprints: data "
            f"{record.data_fingerprint[:16]}{other}; closed episodes {', '.join(closed)}"
        )


def read_rows(paths: Sequence[Path]) -> list[ForeignRow]:
    """The rows of these files.

    Raises:
        RunsError: a file is missing, damaged, too large or no such file, or two rows have one name.
    """
    rows: dict[str, ForeignRow] = {}
    for path in paths:
        row = ForeignRow(read_row(path), path.name)
        if row.name in rows:
            raise RunsError(f"two rows would be called {row.name}: rename one of the files")
        rows[row.name] = row
    return list(rows.values())


def read_row(path: Path) -> RowRecord:
    """The row in one file. Raises RunsError as ``read_rows`` does."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RunsError(f"cannot read {path}: {error.strerror}") from None
    if size > MOST_BYTES:
        raise RunsError(
            f"{path} has {n_bytes_shown(size)}: no file of a row is larger than {n_bytes_shown(MOST_BYTES)}"
        )
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict) or value.get("kind") != "row":
        raise RunsError(f"{path} holds no row. Make such a file: harness runs export --row ROW FILE.json")
    record = parse(RowRecord, value, path)
    if record.sha256 != row_digest(value):
        raise RunsError(f"{path} was changed since it was written: its sha256 is not the one that it names")
    printed = (record.row, record.label, record.stage, record.method, record.preset or "", record.backbone or "")
    for text in (*printed, record.head, record.note, record.pretrained, record.bench, record.created, record.dataset):
        if CONTROL.search(text) or "\n" in text:
            raise RunsError(f"{path}: the name {text!r} holds control characters")
    return record


def row_digest(values: Mapping[str, Any]) -> str:
    """sha256 of all that a row's file says, but for this."""
    return digest({name: value for name, value in values.items() if name != "sha256"})


def with_digest(record: RowRecord) -> RowRecord:
    """The record with the sha256 of all else that it says."""
    return record.model_copy(update={"sha256": row_digest(record.model_dump(mode="json"))})


def refuse_strangers(against: Iterable[ForeignRow], tables: Sequence[TableEpisodes]) -> None:
    """Raises RunsError where a row can stand in none of the tables, or met other episodes than one it belongs to."""
    for row in against:
        belonging = [table for table in tables if row.belongs_to(table)]
        for table in belonging:
            row.refuse_other_episodes(table)
        if not belonging:
            of = row.record.dataset + (f" → {row.record.test_dataset}" if row.record.test_dataset else "")
            here = ", ".join(dict.fromkeys(table.dataset for table in tables))
            raise RunsError(f"{row.file} is about {of} ({row.record.score_on} split), and no table here is: {here}")

"""What the rows of a table took each query for, read from the run folder when it is asked for.

Of runs that kept no predictions, or whose episodes cannot be drawn again, everything here is None or empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.contract.episodes import EpisodeSpec, Target
from harness.evaluation.kept import file_name, raw_features
from harness.runs import StageFolder, draw_again, load_split
from harness.runs.shown import load_shown
from harness.statistics.confusion import (
    ClassAccuracies,
    Confusion,
    Disagreement,
    class_accuracies,
    confusion,
    disagreement,
)

if TYPE_CHECKING:
    from harness.contract.data import Split
    from harness.contract.episodes import Episodes
    from harness.runs.records import StageRecord, TableRecord
    from harness.runs.shown import Shown

Setting = tuple[EpisodeSpec, Target]  # as harness/reports/model.py, which holds what this file makes


@dataclass(frozen=True, eq=False)
class Queries:
    """The queries of one kind of episodes. -1 stands where an episode has no such query or class."""

    episodes: Episodes
    images: np.ndarray  # (E, Q) int64, indices into the split
    true: np.ndarray  # (E, Q) int64, classes of the split
    classes: np.ndarray  # (E, n_way) int64, of each episode

    @classmethod
    def of(cls, episodes: Episodes) -> Queries:
        n, n_way = episodes.classes.shape
        labels = episodes.query_labels
        true = np.take_along_axis(episodes.classes, labels, axis=1)
        images, classes = episodes.query.reshape(n, -1), episodes.classes
        if episodes.shapes is not None:
            ways = episodes.shapes[:, :1]
            true, images = np.where(labels < ways, true, -1), np.where(labels < ways, images, -1)
            classes = np.where(np.arange(n_way) < ways, classes, -1)
        return cls(episodes, images, true, classes)


class TablePredictions:
    """Predictions of one table's rows, episode by episode."""

    def __init__(self, output: Path, table: TableRecord, episode_seed: int, shown: Path | None = None) -> None:
        """``shown``: where the pictures and features are that an archive brought, if it did."""
        self._output = output
        self._shown = shown
        self._table = table
        self._seed = episode_seed
        self._queries: dict[Setting, Queries | None] = {}
        self._predicted: dict[tuple[str, Setting], np.ndarray | None] = {}

    @cached_property
    def split(self) -> Split | None:
        """Labels and class names of the split that was scored, without its images."""
        return load_split(self._output, self._table.split_fingerprint)

    @cached_property
    def shown(self) -> Shown | None:
        """Pictures and features of images of the split that came with an archive."""
        shown = load_shown(self._shown) if self._shown is not None else None
        return shown if shown is not None and shown.split_fingerprint == self._table.split_fingerprint else None

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.split.class_names if self.split else ()

    @property
    def settings(self) -> list[Setting]:
        return [(episodes.spec, episodes.target) for episodes in self._table.episodes]

    def rows(self, setting: Setting) -> list[str]:
        """The rows whose predictions in a setting are there, of all seeds."""
        names = dict.fromkeys(record.row for record in self._table.stages if record.shown)
        return [name for name in names if self.predicted(name, setting) is not None]

    def seeds(self, row: str) -> tuple[int, ...]:
        return tuple(record.seed for record in self._records(row))

    def queries(self, setting: Setting) -> Queries | None:
        """The episodes of a setting with their queries; None where they cannot be drawn again."""
        if setting not in self._queries:
            record = next(r for r in self._table.episodes if (r.spec, r.target) == setting)
            episodes = draw_again(self.split, record, self._seed) if self.split is not None else None
            self._queries[setting] = Queries.of(episodes) if episodes is not None else None
        return self._queries[setting]

    def predicted(self, row: str, setting: Setting) -> np.ndarray | None:
        """(S, E, Q) int64: the class of the split that each query was taken for, a seed each."""
        if (row, setting) not in self._predicted:
            self._predicted[row, setting] = self._read(row, setting)
        return self._predicted[row, setting]

    def class_accuracies(self, row: str, setting: Setting) -> ClassAccuracies | None:
        queries, predicted = self.queries(setting), self.predicted(row, setting)
        if queries is None or predicted is None:
            return None
        return class_accuracies(queries.true, predicted, len(self.class_names))

    def confusion(self, row: str, setting: Setting) -> Confusion | None:
        queries, predicted = self.queries(setting), self.predicted(row, setting)
        if queries is None or predicted is None:
            return None
        return confusion(queries.true, predicted, queries.classes, len(self.class_names))

    def disagreement(self, row: str, other: str, setting: Setting) -> Disagreement | None:
        """Of two rows of the same seeds."""
        queries, first, second = self.queries(setting), self.predicted(row, setting), self.predicted(other, setting)
        if queries is None or first is None or second is None or self.seeds(row) != self.seeds(other):
            return None
        return disagreement(queries.true, first, second)

    def features(self, row: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Images (M,) of the split and what the first seed of a row makes of them (M, D), as far as they are kept."""
        records = self._records(row)
        if self.split is None or not records:
            return None
        folder, n = StageFolder(self._output / records[0].folder), len(self.split.labels)
        kept = raw_features(folder.embeddings / file_name(self.split), n)
        if kept is None and self.shown is not None and self.shown.row == row and self.shown.images is not None:
            assert self.shown.features is not None
            within = self.shown.images < n
            return self.shown.images[within], self.shown.features[within]
        return kept

    def _records(self, row: str) -> list[StageRecord]:
        return [record for record in self._table.stages if record.row == row]

    def _read(self, row: str, setting: Setting) -> np.ndarray | None:
        queries, records = self.queries(setting), self._records(row)
        if queries is None or not records or any(record.failure is not None for record in records):
            return None
        by_seed = [self._read_seed(record, setting, queries) for record in records]
        whole = [predicted for predicted in by_seed if predicted is not None]
        return np.stack(whole) if len(whole) == len(by_seed) else None

    def _read_seed(self, record: StageRecord, setting: Setting, queries: Queries) -> np.ndarray | None:
        folder = StageFolder(self._output / record.folder)
        for key in record.scores:
            kept = folder.load_score(key)
            if kept is None or kept.score.episodes_fingerprint != queries.episodes.fingerprint:
                continue
            labels = folder.load_predictions(key, kept.score)
            if labels is None or labels.shape != queries.true.shape:
                return None
            n_way = queries.classes.shape[1]
            there = (queries.true >= 0) & (labels < n_way)
            return np.where(there, np.take_along_axis(queries.classes, np.minimum(labels, n_way - 1), axis=1), -1)
        return None

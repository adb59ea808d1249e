"""Where a method fails: its worst episodes, and the pairs of classes that it confuses most, beside its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.reports.model import ConfusedPair, Failures, Measured, Row, Setting, Table
from harness.statistics.confusion import worst_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.contract.episodes import EpisodeSpec
    from harness.reports.predictions import TablePredictions
    from harness.statistics.confusion import Confusion

LEAST_EPISODES = 10  # in which a pair of classes has met; a rate over fewer is mostly chance
N_PAIRS = 3


def with_failures(table: Table, measured: Mapping[str, Mapping[Setting, Measured]]) -> Table:
    """The table with each cell's failures on closed episodes.

    Args:
        measured: row → setting → what it reached there.
    """
    return replace(table, rows=[_with_failures(row, measured[row.name], table.predictions) for row in table.rows])


def _with_failures(row: Row, measured: Mapping[Setting, Measured], predictions: TablePredictions | None) -> Row:
    cells = {}
    for spec, cell in row.cells.items():
        mean, n_worst = worst_mean(measured[spec, "closed"].accuracies)
        cells[spec] = replace(cell, failures=Failures(mean, n_worst, _pairs(row, spec, predictions)))
    return replace(row, cells=cells)


def _pairs(row: Row, spec: EpisodeSpec, predictions: TablePredictions | None) -> tuple[ConfusedPair, ...]:
    confusion = predictions.confusion(row.name, (spec, "closed")) if predictions is not None else None
    return () if confusion is None or predictions is None else confused_pairs(confusion, predictions.class_names)


def confused_pairs(confusion: Confusion, names: Sequence[str], n_pairs: int = N_PAIRS) -> tuple[ConfusedPair, ...]:
    """The pairs of a class and what it is taken for most often, the highest rate first; the first name on ties."""
    rates = np.where(confusion.episodes >= LEAST_EPISODES, confusion.rates, 0.0)
    np.fill_diagonal(rates, 0.0)
    order = np.argsort(-rates, axis=None, kind="stable")[:n_pairs]
    places = [np.unravel_index(place, rates.shape) for place in order]
    return tuple(
        ConfusedPair(names[a], names[b], float(rates[a, b]), int(confusion.episodes[a, b]))
        for a, b in places
        if rates[a, b] > 0
    )

"""csv of what is below the table: a line an episode, a query, a class, a pair of classes. Accuracies are fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.errors import HarnessError
from harness.reports.model import LINES

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.model import Report, Setting, Table
    from harness.reports.predictions import Queries, TablePredictions

Frame = Callable[["Table"], Iterator["pd.DataFrame"]]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes text that begins so for one


def csv_lines(report: Report, what: str) -> str:
    """The csv of ``what``: one of ``LINES``.

    Raises:
        HarnessError: the runs kept no predictions.
    """
    import pandas as pd

    frames = [frame for table in report.tables for frame in WHAT[what](table)]
    if not frames:
        raise HarnessError(
            f"--what {what} needs predictions, which these runs have not kept: harness evaluate RUNS adds them, from "
            "kept features where there are any"
        )
    return pd.concat(frames).to_csv(index=False)


def predictions(table: Table) -> Iterator[pd.DataFrame]:
    """A line a query."""
    for kept, row, setting, queries in _with_predictions(table):
        names, predicted = _names(kept), kept.predicted(row, setting)
        assert predicted is not None
        there = queries.true >= 0
        episode, place = np.nonzero(there)
        for seed, of_seed in zip(kept.seeds(row), predicted, strict=True):
            yield _frame(
                {
                    **_begin(table, row, setting),
                    "seed": seed,
                    "episode": episode,
                    "query": place,
                    "image": queries.images[there],
                    "true": names[queries.true[there]],
                    "predicted": names[of_seed[there]],
                }
            )


def episodes(table: Table) -> Iterator[pd.DataFrame]:
    """A line an episode."""
    for kept, row, setting, queries in _with_predictions(table):
        names, predicted = _names(kept), kept.predicted(row, setting)
        assert predicted is not None
        n_queries = (queries.true >= 0).sum(axis=1)
        held = ["; ".join(names[classes[classes >= 0]]) for classes in queries.classes]
        for seed, of_seed in zip(kept.seeds(row), predicted, strict=True):
            right = ((of_seed == queries.true) & (queries.true >= 0)).sum(axis=1)
            yield _frame(
                {
                    **_begin(table, row, setting),
                    "seed": seed,
                    "episode": np.arange(len(held)),
                    "way": (queries.classes >= 0).sum(axis=1),
                    "right": right,
                    "queries": n_queries,
                    "classes": held,
                }
            )


def classes(table: Table) -> Iterator[pd.DataFrame]:
    """A line a class, over all seeds."""
    for kept, row, setting, _ in _with_predictions(table):
        found = kept.class_accuracies(row, setting)
        assert found is not None
        yield _frame(
            {
                **_begin(table, row, setting),
                "class": _names(kept),
                "accuracy": found.accuracies,
                "half_width": found.half_widths,
                "episodes": found.episodes,
                "queries": found.queries,
            }
        )


def confusion(table: Table) -> Iterator[pd.DataFrame]:
    """A line a pair of classes that met, over all seeds: how many queries of a class were taken for another."""
    for kept, row, setting, _ in _with_predictions(table):
        found, names = kept.confusion(row, setting), _names(kept)
        assert found is not None
        true, taken_for = np.nonzero(found.met)
        yield _frame(
            {
                **_begin(table, row, setting),
                "class": names[true],
                "taken_for": names[taken_for],
                "queries": found.counts[true, taken_for],
                "met": found.met[true, taken_for],
                "rate": found.rates[true, taken_for],
                "episodes": found.episodes[true, taken_for],
            }
        )


WHAT: Mapping[str, Frame] = dict(zip(LINES, (episodes, classes, confusion, predictions), strict=True))


def _with_predictions(table: Table) -> Iterator[tuple[TablePredictions, str, Setting, Queries]]:
    kept = table.predictions
    for row in table.rows if kept is not None else ():
        for setting in kept.settings if kept is not None else ():
            if kept is not None and kept.predicted(row.name, setting) is not None:
                queries = kept.queries(setting)
                assert queries is not None
                yield kept, row.name, setting, queries


def _begin(table: Table, row: str, setting: Setting) -> dict[str, Any]:
    spec, target = setting
    about = {"bench": table.bench, "dataset": _safe(table.dataset), "method": _safe(row)}
    return {**about, "setting": str(spec), "target": target}


def _names(kept: TablePredictions) -> np.ndarray:
    """(C,) str: the names of the classes."""
    return np.array([_safe(name) for name in kept.class_names], dtype=object)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns)

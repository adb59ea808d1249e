"""The episodes that a reader can look into: those on which two rows disagree most, and those that are hardest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.reports.formats.page.charts_classes import closed_settings
from harness.statistics.confusion import disagreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.reports.model import Setting
    from harness.reports.predictions import Queries, TablePredictions

MOST_DISPUTED, MOST_HARD = 8, 4  # episodes of a setting

Answers = Mapping[str, np.ndarray]  # row → (E, Q) classes of the split, of its first seed


def browser(kept: TablePredictions, rows: Sequence[str]) -> list[dict[str, Any]]:
    """What the browser of episodes shows, as plain values: settings with their episodes.

    Episodes of varied shapes are left out.
    """
    return [_setting(kept, setting, of) for setting, of in closed_settings(kept, rows) if not setting[0].varied]


def shown_images(settings: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """The images that the browser shows, episode by episode."""
    for setting in settings:
        for episode in setting["episodes"]:
            for shots in episode["support"]:
                yield from shots
            yield from episode["query"]


def _setting(kept: TablePredictions, setting: Setting, rows: Sequence[str]) -> dict[str, Any]:
    queries = kept.queries(setting)
    assert queries is not None
    answers: dict[str, np.ndarray] = {}
    for row in rows:
        predicted = kept.predicted(row, setting)
        assert predicted is not None
        answers[row] = predicted[0]
    chosen = _chosen(queries, answers)
    return {
        "name": str(setting[0]),
        "rows": list(rows),
        "episodes": [_episode(queries, answers, kept.class_names, e, why, pair) for e, (why, pair) in chosen.items()],
    }


def _chosen(queries: Queries, answers: Answers) -> dict[int, tuple[str, tuple[str, str]]]:
    """Episode → why it is worth a look, and which two rows to look at."""
    rows = list(answers)
    chosen: dict[int, tuple[str, tuple[str, str]]] = {}
    pairs = list(combinations(rows, 2))
    if pairs:
        shares = np.stack(
            [disagreement(queries.true, answers[a][None], answers[b][None]).by_episode for a, b in pairs]
        )  # (pairs, E)
        most = shares.max(axis=0)
        disputed = np.argsort(-most, kind="stable")[: min(MOST_DISPUTED, int((most > 0).sum()))]
        for e in disputed.tolist():
            a, b = pairs[int(shares[:, e].argmax())]
            chosen[e] = f"differ in {100 * most[e]:.0f} %: {a}, {b}", (a, b)
    right = np.stack([(answers[row] == queries.true).mean(axis=1) for row in rows]).mean(axis=0)  # (E,)
    for e in np.argsort(right, kind="stable").tolist():
        if len(chosen) >= MOST_DISPUTED + MOST_HARD:
            break
        chosen.setdefault(e, (f"hard: {100 * right[e]:.0f} % right", (rows[0], rows[min(1, len(rows) - 1)])))
    return chosen


def _episode(
    queries: Queries, answers: Answers, names: Sequence[str], e: int, why: str, pair: tuple[str, str]
) -> dict[str, Any]:
    classes = queries.classes[e]

    def labels(of: np.ndarray) -> list[int]:
        """Where in the episode's classes each of these is (Q,)."""
        return (of[:, None] == classes).argmax(axis=1).tolist()

    return {
        "number": e,
        "why": why,
        "pair": list(pair),
        "classes": [names[c] for c in classes.tolist()],
        "support": queries.episodes.support[e].tolist(),
        "query": queries.images[e].tolist(),
        "truth": labels(queries.true[e]),
        "answers": {row: labels(answers[row][e]) for row in answers},
    }

"""A leaderboard as markdown, LaTeX, csv and json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.reports.formats.latex import FLOAT_PACKAGES, comments, float_of, plain_cells, tabular
from harness.reports.formats.markdown import Number, grid
from harness.reports.formats.values import plain
from harness.reports.words import p_value, percent

if TYPE_CHECKING:
    from harness.reports.leaderboard import Leaderboard
    from harness.reports.over_datasets import OverDatasets


def markdown(board: Leaderboard) -> str:
    """The leaderboard with its letters, then each setting over datasets, with what cannot be concluded."""
    parts = ["## Leaderboard\n", grid(_texts(main_cells(board))), f"{about(board)}\n"]
    parts += ["\n".join(f"- {line}" for line in _conditions(board)) + "\n"]
    for over in board.over:
        parts.append(f"## Over datasets: {over.spec}\n")
        if over.mean_ranks:
            parts += [grid(rank_rows(over)), f"{about_ranks(board, over)}\n"]
        if over.notes:
            parts.append("\n".join(f"- {note}" for note in over.notes) + "\n")
    return "\n".join(parts)


def latex(board: Leaderboard) -> str:
    """Floats for papers; notes are comments."""
    view = board.view
    label = view.label or "tab:leaderboard"
    marked = "rows of a column that share a letter cannot be told apart (paired $t$-tests, Holm)"
    caption = view.caption or f"Accuracy (\\%) with 95\\,\\% intervals about these test sets; {marked}."
    lines = [about(board), *_conditions(board)]
    parts = [FLOAT_PACKAGES, comments(lines), float_of(tabular(plain_cells(main_cells(board))), view, caption, label)]
    for i, over in enumerate(board.over):
        if over.mean_ranks:
            rows = tabular(plain_cells(list(rank_rows(over))))
            caption = f"Mean ranks over {len(over.datasets)} datasets, {over.spec}."
            parts += [
                comments([about_ranks(board, over), *over.notes]),
                float_of(rows, view, caption, f"{label}-ranks-{i + 1}"),
            ]
    return "".join(parts)


def csv(board: Leaderboard) -> str:
    """A line a row and column; accuracies as fractions."""
    import pandas as pd

    ranks = {(over.spec, name): rank for over in board.over for name, rank in over.mean_ranks.items()}
    lines = [
        {
            "method": line.name,
            "floor": line.floor,
            "dataset": column.dataset,
            "setting": str(column.spec),
            "column": name,
            "accuracy": place.interval.mean,
            "half_width": place.interval.half_width,
            "tiers": place.letters,
            "mean_rank": ranks.get((column.spec, line.name)),
            "seeds": " ".join(map(str, column.seeds)),
            "data_fingerprint": column.data,
            "episodes_fingerprint": column.closed,
            "bench": place.bench,
        }
        for line in board.lines
        for name, column in board.columns.items()
        if (place := line.places.get(name)) is not None
    ]
    return pd.DataFrame(lines).to_csv(index=False)


def to_json(board: Leaderboard) -> str:
    """All of it, infinite and missing numbers as null."""
    names = ("columns", "lines", "n_tests", "over", "margin", "notes")
    return json.dumps(plain({name: getattr(board, name) for name in names}), indent=2, ensure_ascii=False) + "\n"


RENDER: Mapping[str, Callable[[Leaderboard], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": csv,
    "json": to_json,
}
HONOURED = ("precision", "wide", "caption", "label")  # of View, the last three by LaTeX alone


# ── tables and sentences ──────────────────────────────────────────────────────────────────────────


def main_cells(board: Leaderboard) -> list[dict[str, str | Number]]:
    """A dictionary a row: its name, then accuracies in percent with their letters."""
    cells: list[dict[str, str | Number]] = []
    for line in board.lines:
        shown: dict[str, str | Number] = {"method": f"{line.name} (floor)" if line.floor else line.name}
        for name in board.columns:
            place = line.places.get(name)
            if place is None:
                shown[name] = "-"
                continue
            mean, _, half_width = percent(place.interval, digits=board.view.precision).partition(" ± ")
            shown[name] = Number(mean, half_width, letters=place.letters)
        cells.append(shown)
    return cells


def rank_rows(over: OverDatasets) -> list[dict[str, str]]:
    """A dictionary a row: mean rank, letters, and the probabilities against the row with the best mean rank."""
    best = next(iter(over.mean_ranks))
    rows = []
    for name, rank in over.mean_ranks.items():
        posterior = over.posteriors.get(name)
        chances = (posterior.better, posterior.equal, posterior.worse) if posterior else None
        heads = (f"better than {best}", "equal", "worse")
        rows.append(
            {"method": name, "mean rank": f"{rank:.2f}", "tiers": over.letters[name]}
            | {head: f"{chances[i]:.2f}" if chances else "" for i, head in enumerate(heads)}
        )
    return rows


def about(board: Leaderboard) -> str:
    """What the letters say."""
    if not board.n_tests:
        return "No two rows met the same open episodes, so nothing is said about which can be told apart."
    return (
        "Rows of a column that share a letter cannot be told apart, and their order is then no ranking: paired t-tests "
        f"of all pairs on the same open episodes, Holm over all {board.n_tests} pairs and columns, at 5 %, without "
        "floors. Letters begin with the row that is best on open episodes. They are about new images of these classes, "
        "and with under 3 seeds about these weights. Accuracies are in percent, mean ± closed 95 % interval."
    )


def about_ranks(board: Leaderboard, over: OverDatasets) -> str:
    """How the ranks, letters and probabilities of a setting were made."""
    best = next(iter(over.mean_ranks))
    return (
        f"Mean ranks over {len(over.datasets)} datasets ({', '.join(over.datasets)}), 1 the highest. All rows alike: "
        f"p = {p_value(over.friedman_p)} (Friedman, by permutations). Critical difference of mean ranks "
        f"{over.critical_difference:.2f} (Nemenyi, 5 %). Rows that share a letter cannot be told apart by Wilcoxon's "
        f"signed-rank test over datasets, Holm over all pairs. The last columns are probabilities that a row is better "
        f"than {best}, practically equal (within ± {100 * board.margin:g} points) or worse on a dataset of this kind "
        "(Bayesian signed ranks)."
    )


def _conditions(board: Leaderboard) -> list[str]:
    prints = "; ".join(
        f"{name}: data {column.data[:8]}, episodes {column.closed[:8]}, seeds {', '.join(map(str, column.seeds))}"
        + "".join(f", {note}" for note in column.notes)
        for name, column in board.columns.items()
    )
    return [f"numbers of a column are of the same data, episodes and seeds: {prints}", *board.notes]


def _texts(cells: list[dict[str, str | Number]]) -> list[dict[str, str]]:
    return [{name: str(cell) for name, cell in line.items()} for line in cells]

"""Who wins a table, by how much, and how sure that is: the row with the highest mean against every other row.

The highest row was picked by the numbers that it is then tested on, so its p-values are adjusted by Holm for all pairs
of rows in all settings, as those of tiers are: a winner is called one only where it is apart from every other row. Of
tables of more than thirty rows the thirty highest are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from harness.reports.words import SIGNIFICANT, counted, p_value
from harness.statistics.comparison import holm, paired_differences
from harness.statistics.intervals import LEAST_SEEDS, Interval, interval
from harness.statistics.tiers import pair_p_values

if TYPE_CHECKING:
    from harness.contract.episodes import EpisodeSpec
    from harness.reports.model import Measured, Row, Table

SPACE = "\u00a0"  # a space at which no line breaks
MOST_ROWS = 30  # that are compared in pairs: the highest
MOST_NAMES = 3  # in a sentence; the others are counted


@dataclass(frozen=True)
class Behind:
    """The highest row minus another, paired on open episodes."""

    name: str
    difference: Interval  # a fraction
    p: float  # of a paired t-test, for all pairs of rows

    @property
    def apart(self) -> bool:
        """Whether the highest row is better, and not by chance."""
        return self.p < SIGNIFICANT and self.difference.mean > 0


@dataclass(frozen=True)
class Lead:
    """One setting of a table: its highest row, and how far every other is behind."""

    spec: EpisodeSpec
    highest: str
    behind: Sequence[Behind]  # the nearest first
    n_tests: int  # over which p-values were adjusted
    n_episodes: int  # open ones
    n_seeds: int

    @property
    def equal(self) -> list[Behind]:
        """The rows that cannot be told apart from the highest."""
        return [row for row in self.behind if not row.apart]


def leads(table: Table) -> list[Lead]:
    """One for each setting in which at least two rows were measured on the same open episodes.

    Floors take part only where nothing else was measured; a row that is another under a second name does not.
    """
    measured = {spec: reached for spec in table.specs if len(reached := _measured(table, spec)) > 1}
    tests: dict[tuple[EpisodeSpec, frozenset[str]], float] = {}
    for spec, by_row in measured.items():
        first = next(iter(by_row.values()))
        p_values = pair_p_values([one.accuracies for one in by_row.values()], first.classes, first.n_classes)
        tests |= {(spec, frozenset(pair)): p for pair, p in zip(combinations(by_row, 2), p_values, strict=True)}
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    result = []
    for spec, by_row in measured.items():
        highest = next(iter(by_row))
        first = by_row[highest]
        behind = []
        for name, other in list(by_row.items())[1:]:
            differences = paired_differences(first.accuracies, other.accuracies)
            difference = interval("open", differences, first.classes, first.n_classes)
            behind.append(Behind(name, difference, adjusted[spec, frozenset((highest, name))]))
        behind.sort(key=lambda row: (row.difference.mean, row.name))
        n_seeds, n_episodes = first.accuracies.shape
        result.append(Lead(spec, highest, behind, len(tests), n_episodes, n_seeds))
    return result


def _measured(table: Table, spec: EpisodeSpec) -> dict[str, Measured]:
    """The contestants of a setting, the highest first, as far as they met the same open episodes as it."""
    rows = [row for row in contestants(table.rows) if spec in row.cells and row.cells[spec].on_open is not None]
    rows.sort(key=lambda row: -row.cells[spec].intervals["closed"].mean)
    measured = {row.name: reached for row in rows[:MOST_ROWS] if (reached := row.cells[spec].on_open) is not None}
    first = next(iter(measured.values()), None)
    return {
        name: one
        for name, one in measured.items()
        if first and (one.fingerprint, one.accuracies.shape) == (first.fingerprint, first.accuracies.shape)
    }


def contestants(rows: Sequence[Row]) -> list[Row]:
    """The rows that may win: those that are whole, without floors, each once."""
    whole = [row for row in rows if row.cells]
    once = {row.identity or row.name: row for row in reversed(whole) if not row.floor}
    return list(reversed(once.values())) or whole


# ── in words ──────────────────────────────────────────────────────────────────────────────────────


def sentences(table: Table, found: Sequence[Lead]) -> list[str]:
    """The answer of a table, one for each setting: ``skd/gen1 wins 5-way 1-shot by 2.31 ± 0.80 points over …``."""
    return [_in_words(lead) for lead in found] or [_without_test(table)]


def _in_words(lead: Lead) -> str:
    nearest, equal = lead.behind[0], lead.equal
    if not equal:
        others = "" if len(lead.behind) == 1 else ", the next best"
        return (
            f"{lead.highest} wins {lead.spec} by {points(nearest.difference)} points over "
            f"{nearest.name}{others} ({_p(nearest)})."
        )
    if len(equal) == len(lead.behind) > MOST_NAMES:
        names = f"any of the {len(equal)} others"
    else:
        names = listed([row.name for row in equal])
    return (
        f"No winner in {lead.spec}: {lead.highest} has the highest mean, but cannot be told apart from {names} "
        f"({points(equal[0].difference, '+')} points from {equal[0].name}, {_p(equal[0])})."
    )


def _p(row: Behind) -> str:
    text = p_value(row.p)
    return (f"p {text}" if text.startswith("<") else f"p = {text}").replace(" ", SPACE)


def points(difference: Interval, sign: str = "") -> str:
    """``2.31 ± 0.80``, of a fraction."""
    half_width = f"{100 * difference.half_width:.2f}" if math.isfinite(difference.half_width) else "∞"
    return f"{100 * difference.mean:{sign}.2f} ± {half_width}".replace("-", "−").replace(" ", SPACE)


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and 4 others``."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _without_test(table: Table) -> str:
    """What can be said where no two rows met the same open episodes."""
    rows = contestants(table.rows)
    if not rows:
        return "No row is whole, so nothing can be said."
    if len(rows) == 1:
        return f"{rows[0].name} is the only row, so there is nothing to compare it with."
    best = {
        spec: max((row for row in rows if spec in row.cells), key=lambda row: row.cells[spec].intervals["closed"].mean)
        for spec in table.specs
    }
    highest = "; ".join(f"{row.name} has the highest mean in {spec}" for spec, row in best.items())
    return f"{highest}; nothing is proved, since the rows have no two open episodes in common."


def about(found: Sequence[Lead]) -> str:
    """What the answer rests on, and what it is about."""
    if not found:
        return ""
    episodes = listed([f"{lead.n_episodes} ({lead.spec})" for lead in found])
    seeds = found[0].n_seeds
    if seeds >= LEAST_SEEDS:
        claim = f"{seeds} training seeds: it is about these methods, on new images of these classes."
    else:
        claim = f"{counted(seeds, 'training seed')}: it is about these weights, not about the methods."
    few = f" (the {MOST_ROWS} highest)" if len(found[0].behind) + 1 == MOST_ROWS else ""
    return (
        f"Paired t-tests on open episodes, in which no image comes twice: {episodes}. ± is the 95 % interval of a "
        f"difference by itself; p is adjusted by Holm for all {counted(found[0].n_tests, 'pair')} of rows among "
        f"which the highest was picked{few}. {claim}"
    )

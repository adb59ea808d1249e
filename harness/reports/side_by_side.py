"""Two benches, or two rows, side by side: what is not the same about them, and their numbers with the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.reports.model import TESTED_ON
from harness.statistics.comparison import Comparison, compare, holm
from harness.statistics.intervals import Interval, interval

if TYPE_CHECKING:
    from harness.reports.model import Measured, Setting

Facts = Mapping[str, Any]  # name → value, as JSON holds it; None: not known
MAY_BE_ABSENT = ("option ", "set ", "sweep ", "episodes ")  # how facts begin that a bench or a method may do without


@dataclass(frozen=True, eq=False)
class SideRow:
    """A row of one side."""

    name: str
    floor: bool
    seeds: tuple[int, ...]
    facts: Facts  # what decides it, and what it ran on
    measured: Mapping[Setting, Measured]


@dataclass(frozen=True, eq=False)
class SideTable:
    """A dataset of one side."""

    dataset: str
    facts: Facts
    rows: Mapping[str, SideRow]


@dataclass(frozen=True, eq=False)
class Side:
    """A bench, or a row's file."""

    name: str
    plan: Facts
    tables: Mapping[str, SideTable]


@dataclass(frozen=True)
class Differing:
    """Something that is not the same on both sides."""

    dataset: str | None  # None: it is said of the plan
    about: str  # plan, data, or names of rows
    what: str
    a: Any  # None: not there
    b: Any


@dataclass(frozen=True)
class Difference:
    """B minus A on the same episodes and seeds. Fractions."""

    mean: float
    seeds: tuple[int, ...]  # that both have
    equal: bool  # every accuracy, to the last digit
    tested: Comparison | None = None  # of episodes that tests are made on, where not all are equal
    holm_p: float | None = None  # over all tests of the two sides; None: a floor, or none


@dataclass(frozen=True)
class Numbers:
    """What two rows reached in one setting."""

    dataset: str
    rows: tuple[str, str]
    setting: str
    target: str  # closed or open
    a: Interval | None  # None: not scored so
    b: Interval | None
    difference: Difference | None
    reason: str  # why there is no difference


@dataclass(frozen=True)
class SideBySide:
    """Two sides compared."""

    differing: Sequence[Differing]
    numbers: Sequence[Numbers]
    only_a: Sequence[str]  # rows without a partner
    only_b: Sequence[str]

    @property
    def n_tests(self) -> int:
        """Over which p-values are adjusted."""
        return sum(numbers.difference is not None and numbers.difference.holm_p is not None for numbers in self.numbers)


def side_by_side(a: Side, b: Side) -> SideBySide:
    """Two sides compared: tables by their dataset and rows by their name, or where each side has but one, these."""
    differing = list(_differing(None, "plan", a.plan, b.plan))
    numbers: list[Numbers] = []
    paired: tuple[set[str], set[str]] = (set(), set())
    for first, second in _pairs(a.tables, b.tables):
        differing += _differing(first.dataset, "data", first.facts, second.facts)
        rows = _pairs(first.rows, second.rows)
        differing += _of_rows(first.dataset, rows)
        for one, other in rows:
            numbers += _numbers(first.dataset, one, other)
            paired[0].add(f"{first.dataset}: {one.name}")
            paired[1].add(f"{second.dataset}: {other.name}")
    all_rows = [[f"{name}: {row}" for name, table in side.tables.items() for row in table.rows] for side in (a, b)]
    only = [[name for name in names if name not in of] for names, of in zip(all_rows, paired, strict=True)]
    return SideBySide(differing, _adjusted(numbers), *only)


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    if len(a) == len(b) == 1:
        return [(*a.values(), *b.values())]
    return [(value, b[name]) for name, value in a.items() if name in b]


def _differing(dataset: str | None, about: str, a: Facts, b: Facts) -> Iterator[Differing]:
    """What differs. What one side alone has counts where it may be there or not; else the other does not know it."""
    for name in dict.fromkeys((*a, *b)):
        first, second = a.get(name), b.get(name)
        known = (first is not None and second is not None) or name.startswith(MAY_BE_ABSENT)
        if known and first != second:
            yield Differing(dataset, about, name, first, second)


def _of_rows(dataset: str, rows: Sequence[tuple[SideRow, SideRow]]) -> list[Differing]:
    """What differs about pairs of rows: what is the same for several is said once."""
    said: dict[str, list[tuple[Differing, str]]] = {}
    for one, other in rows:
        name = one.name if one.name == other.name else f"{one.name} | {other.name}"
        a, b = one.facts, other.facts
        if a.get("method") != b.get("method"):  # options of one alone would say nothing but that
            both = {fact for fact in (*a, *b) if not fact.startswith("option ") or (fact in a and fact in b)}
            a, b = ({fact: value for fact, value in facts.items() if fact in both} for facts in (a, b))
        for difference in _differing(dataset, name, a, b):
            key = repr((difference.what, difference.a, difference.b))
            said.setdefault(key, []).append((difference, name))
    merged = []
    for same in said.values():
        names = [name for _, name in same]
        about = "all rows" if len(names) == len(rows) > 1 else ", ".join(names)
        merged.append(replace(same[0][0], about=about))
    return merged


def _numbers(dataset: str, one: SideRow, other: SideRow) -> Iterator[Numbers]:
    for setting in sorted(dict.fromkeys((*one.measured, *other.measured)), key=lambda setting: setting[1]):
        spec, target = setting
        a, b = one.measured.get(setting), other.measured.get(setting)
        difference, reason = _difference(one, other, a, b, target)
        reached = _interval(a, target), _interval(b, target)
        yield Numbers(dataset, (one.name, other.name), str(spec), target, *reached, difference, reason)


def _interval(measured: Measured | None, target: str) -> Interval | None:
    if measured is None:
        return None
    return interval(target, measured.accuracies, measured.classes, measured.n_classes)


def _difference(
    one: SideRow, other: SideRow, a: Measured | None, b: Measured | None, target: str
) -> tuple[Difference | None, str]:
    """B minus A, or why there is none."""
    if a is None or b is None:
        return None, "one alone"
    if a.fingerprint != b.fingerprint:
        return None, "other episodes"
    seeds = tuple(seed for seed in one.seeds if seed in other.seeds)
    if not seeds:
        return None, "no seed of both"
    first, second = (
        measured.accuracies[[row.seeds.index(seed) for seed in seeds]] for row, measured in ((one, a), (other, b))
    )
    equal = bool((first == second).all())
    tested = None
    if target == TESTED_ON and not equal:
        tested = compare(second, first, a.classes, a.n_classes, TESTED_ON)
    holm_p = 1.0 if tested is not None and not (one.floor and other.floor) else None
    return Difference(float((second - first).mean()), seeds, equal, tested, holm_p), ""


def _adjusted(numbers: Sequence[Numbers]) -> list[Numbers]:
    """The numbers with p-values by Holm over all tests among them."""
    tests = [n.difference.tested for n in numbers if n.difference and n.difference.holm_p is not None]
    p_values = iter(holm([test.t_p for test in tests if test is not None]))
    return [
        replace(n, difference=replace(n.difference, holm_p=next(p_values)))
        if n.difference and n.difference.holm_p is not None
        else n
        for n in numbers
    ]

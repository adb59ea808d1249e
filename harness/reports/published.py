"""Published numbers beside measured ones, each with its source and a verdict."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from harness.contract.episodes import EpisodeSpec
from harness.contract.plan import BenchPlan
from harness.reports.model import Report, Verdict
from harness.runs.records import TableRecord
from harness.statistics.agreement import allowed_difference

if TYPE_CHECKING:
    from harness.reports.model import Cell, Row


Z = 1.96  # two-sided 95 % of a normal


@dataclass(frozen=True)
class Published:
    """One number of a paper. Fractions."""

    dataset: str
    method: str  # as the paper calls it
    row: str  # METHOD/STAGE here, empty where no plugin makes it
    backbone: str  # as installed here, empty where there is none
    spec: EpisodeSpec
    accuracy: float
    ci95: float
    source: str
    train_on: str = "train"  # the classes it was trained on; or "trainval"
    presets: tuple[str, ...] = ()  # those that train as it was trained; empty: any but a quick one


@cache
def published_numbers() -> tuple[Published, ...]:
    """All that the project carries, from reports/published.csv."""
    text = resources.files("harness.reports").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            line["dataset"],
            line["method"],
            line["row"],
            line["installed_backbone"],
            EpisodeSpec(int(line["n_way"]), int(line["k_shot"])),
            float(line["accuracy"]) / 100,
            float(line["ci95"]) / 100,
            line["source"],
            line["train_on"],
            tuple(line["presets"].split()),
        )
        for line in csv.DictReader(text.splitlines())
    )


def without_numbers(report: Report) -> list[str]:
    """The datasets in whose tables no published number stands."""
    return [
        table.dataset
        for table in report.tables
        if not any(cell.published for row in table.rows for cell in row.cells.values())
    ]


def verdict(number: Published, row: Row, cell: Cell, obstacles: Sequence[str]) -> Verdict:
    """What the measured cell says of a published number.

    The difference is judged by ``allowed_difference``: the published run was one seed; with fewer than three of ours
    nothing is known of seeds and the verdict is "undecided".
    """

    def given(text: str) -> Verdict:
        return Verdict(number.accuracy, number.ci95, number.source, text)

    reasons = list(obstacles)
    if row.backbone != number.backbone:
        reasons.insert(0, f"backbone {row.backbone}")
    if reasons:
        return given(f"not comparable ({', '.join(reasons)})")
    difference = cell.intervals["closed"].mean - number.accuracy
    shown = f"{100 * difference:+.2f}"
    bound = allowed_difference(cell.by_seed, cell.episode_error, number.ci95 / Z)
    if bound is None:
        return given(f"undecided ({shown}, {len(cell.by_seed)} seed{'s' if len(cell.by_seed) > 1 else ''})")
    word = "agrees" if abs(difference) <= bound else "above" if difference > 0 else "below"
    return given(f"{word} ({shown}, allowed ± {100 * bound:.2f})")


def with_published(rows: Sequence[Row], table: TableRecord, plan: BenchPlan) -> list[Row]:
    """The rows with a verdict for every published number of their method and stage on this dataset."""
    obstacles = [
        *(["scored on val"] if table.score_on == "val" else []),
        *(["partial data"] if table.partial else []),
        *([f"tested on {table.test_dataset}"] if table.test_dataset else []),
        *(["budget"] if plan.budget else []),
        *(["given weights"] if plan.weights else []),
        *(["another head"] if plan.classifier != "native" or plan.transform or plan.views else []),
    ]
    return [
        replace(
            row,
            cells={
                spec: replace(
                    cell,
                    published=tuple(
                        verdict(number, row, cell, [*_own_obstacles(row, number, table.train_on), *obstacles])
                        for number in published_numbers()
                        if (number.dataset, number.row) == (table.dataset, f"{row.method}/{row.stage}")
                        and (number.spec.n_way, number.spec.k_shot) == (spec.n_way, spec.k_shot)
                        and not spec.dirichlet
                    ),
                )
                for spec, cell in row.cells.items()
            },
        )
        for row in rows
    ]


def _own_obstacles(row: Row, number: Published, train_on: str) -> list[str]:
    """Why the row was not trained as the number was: a preset that counts images seen, other classes or options."""
    chosen = row.preset is not None and not row.preset.startswith("quick")
    wanted = f", not {' or '.join(number.presets)}" if number.presets else ""
    return [
        *([] if chosen and row.preset in (number.presets or [row.preset]) else [f"preset {row.preset}{wanted}"]),
        *([f"changed {', '.join(row.changed)}"] if row.changed else []),
        *([f"trained on {train_on}, not {number.train_on}"] if train_on != number.train_on else []),
    ]

"""Published numbers beside measured ones, each with its source and a verdict."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from harness.contract.episodes import EpisodeSpec
from harness.reports.model import Report, Verdict
from harness.statistics.agreement import allowed_difference

if TYPE_CHECKING:
    from harness.contract.plan import BenchPlan
    from harness.reports.model import Cell, Row
    from harness.runs.records import TableRecord


Z = 1.96  # two-sided 95 % of a normal

OPTIONS = ("train_way", "train_shot", "train_query", "optimiser", "selection")  # columns named as the options they tell


@dataclass(frozen=True)
class Published:
    """One number of a paper. Fractions."""

    dataset: str
    method: str  # as the paper calls it
    row: str  # METHOD/STAGE here, of which * matches any part; empty where no plugin makes it
    backbone: str  # as installed here, empty where there is none
    spec: EpisodeSpec
    accuracy: float
    ci95: float
    source: str
    architecture: str = ""  # the backbone as the paper calls it
    n_features: int | None = None  # of that backbone; None: unknown
    train_on: str | None = "train"  # the classes it was trained on; or "trainval"; None: unknown
    options: Mapping[str, str] = field(default_factory=dict)  # what decided its training, in the words of our options
    presets: tuple[str, ...] = ()  # those whose other values are the paper's or its code's; empty: not compared
    unknown: tuple[str, ...] = ()  # what decided it and no source tells
    augment: str = "standard"  # how far training images were changed at random, in the words of --augment


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
            line["backbone"],
            int(line["features"]) if line["features"] else None,
            line["train_on"] or None,
            {name: line[name] for name in OPTIONS if line[name]},
            tuple(line["presets"].split()),
            tuple(line["unknown"].split()),
            line["augment"] or "standard",
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

    if obstacles:
        return given(f"not comparable ({', '.join(obstacles)})")
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
        *(["another head"] if _another_head(plan) else []),
    ]

    def given(row: Row) -> list[str]:
        everywhere = plan.weights is not None and "=" not in plan.weights  # a record of before rows said it
        return ["given weights"] if row.weights or everywhere else []

    return [
        replace(
            row,
            cells={
                spec: replace(
                    cell,
                    published=tuple(
                        verdict(
                            number,
                            row,
                            cell,
                            [*differences(row, number, table.train_on, plan.augment), *given(row), *obstacles],
                        )
                        for number in numbers_beside(row, spec, table.dataset)
                    ),
                )
                for spec, cell in row.cells.items()
            },
        )
        for row in rows
    ]


def _another_head(plan: BenchPlan) -> bool:
    return plan.classifier != "native" or plan.embed != "features" or bool(plan.transform or plan.views)


def numbers_beside(row: Row, spec: EpisodeSpec, dataset: str) -> list[Published]:
    """The published numbers of a row's method and stage in a setting: those of its backbone, or else of all."""
    name, setting = f"{row.method}/{row.stage}", (spec.n_way, spec.k_shot)
    numbers = [
        number
        for number in published_numbers()
        if number.dataset == dataset and fnmatchcase(name, number.row) and not spec.dirichlet and not spec.varied
        if (number.spec.n_way, number.spec.k_shot) == setting
    ]
    return [number for number in numbers if number.backbone == row.backbone] or numbers


def differences(row: Row, number: Published, train_on: str, augment: str = "standard") -> list[str]:
    """What in the training of a row is not as in that of a published number, or not known to be. Empty: equals."""
    differing = []
    if row.backbone != number.backbone:
        features = f" with {number.n_features:,} features" if number.n_features else ""
        differing.append(f"backbone {row.backbone}, not {number.architecture}{features}")
    if number.presets and row.preset not in number.presets:
        differing.append(f"preset {row.preset}")
    for name, value in number.options.items():
        if str(row.options.get(name)) != value:
            differing.append(f"{name} {row.options.get(name, 'unknown')}, not {value}")
    if changed := [name for name in row.changed if name not in number.options]:
        differing.append(f"changed {' and '.join(changed)}")
    if augment != number.augment:
        differing.append(f"augmentation {augment}, not {number.augment}")
    if number.train_on not in (train_on, None):
        differing.append(f"trained on {train_on}, not {number.train_on}")
    if number.unknown:
        differing.append(f"unknown of the published number: {' and '.join(number.unknown)}")
    return differing

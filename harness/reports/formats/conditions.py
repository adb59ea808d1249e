"""What the numbers of a table hold under, in words that all formats share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.model import DEFAULT_VIEW, View

if TYPE_CHECKING:
    from harness.reports.model import Row, Table

INTERVALS = {
    "closed": "Student's t over the episodes, drawn with replacement from this very test set{over_seeds}; the open "
    "interval (new images) and the class interval (new classes) are in --format csv, json and html",
    "open": "over episodes that share no image, about new images of these classes{over_seeds}",
    "class": "over episodes that share no image, about new classes{over_seeds}",
}


def counts(table: Table, target: str) -> str:
    """``600 of 5-way 1-shot; 600 of 5-way 5-shot``."""
    return "; ".join(
        f"{episode_set.n} of {episode_set.spec}" for episode_set in table.episodes if episode_set.target == target
    )


def conditions(table: Table, view: View = DEFAULT_VIEW) -> list[str]:
    """What the numbers hold under, a line each."""
    plan = table.plan
    seeds = plan.seeds
    interval = view.interval or "closed"
    over_seeds = f", and over the {len(seeds)} seeds" if len(seeds) > 2 else ""
    presets: dict[str, dict[str, Any]] = {}
    for row in table.rows:
        if row.preset:
            presets.setdefault(f"{row.label} {row.preset}", {}).update(row.changed)
    shown = ", ".join(f"{name}{_changes(changed)}" for name, changed in presets.items())
    prints = {target: _fingerprints(table, target) for target in ("closed", "open")}
    lines = [
        f"accuracy in percent, mean ± {interval} 95 % interval: {INTERVALS[interval].format(over_seeds=over_seeds)}"
        + ("; bold: the highest of its column, which proves nothing by itself" if "best" in view.mark else ""),
        *_about_marks(table, view),
        f"episodes, the same for all rows: {counts(table, 'closed')}; {plan.queries} queries a class, "
        f"episode seed {plan.episode_seed}",
        f"training seeds: {', '.join(map(str, seeds))}"
        + ("" if len(seeds) > 2 else " (under 3 seeds: these weights, not these methods)"),
        f"presets: {shown or '-'}",
        *dict.fromkeys(f"{row.label}: {row.note}" for row in table.rows if row.note),
        *(f"{row.name}: {row.source}" for row in table.rows if row.source),
        "images seen, training and TFLOP are of one seed and include the stages that a row was trained from; memory is "
        "the highest peak of a process that trained one; - where nothing was trained",
        *_unknown_costs(table.rows),
        f"fingerprints: data {table.data_fingerprint[:16]}; closed episodes {prints['closed']}"
        + (f"; open episodes {prints['open']}" if prints["open"] else ""),
    ]
    if plan.train_on != "train":
        lines.append("trained on the training and validation classes")
    if plan.augment != "standard":
        lines.append(f"augmentation of training images: {plan.augment}")
    if plan.budget:
        lines.append(f"budget: {plan.budget:,} images a stage")
    lines += _weights(table)
    lines.append("; ".join([f"bench {table.bench}", *(f"{name} {value}" for name, value in table.conditions.items())]))
    for name, values in table.differing.items():
        lines.append(f"{name} differs: " + "; ".join(f"{value} ({', '.join(rows)})" for value, rows in values.items()))
    return lines


def _about_marks(table: Table, view: View) -> list[str]:
    """What the marks of comparisons say."""
    how = "paired t-tests on the same open episodes"
    tests = max((standing.n_tests for standing in table.standings.values()), default=0)
    family = f"Holm over all {tests} pairs and settings of this table, without floors, at 5 %"
    words = {
        "second": "italics: the second highest",
        "same": f"‡: not told apart from the row that is best on open episodes ({how}, {family})",
        "tiers": f"letters: rows of a column that share one cannot be told apart ({how}, {family})",
    }
    return [words[mark] for mark in view.mark if mark in words]


def _weights(table: Table) -> list[str]:
    """What the backbones started from, where not from their own initialisation."""
    started: dict[str, list[str]] = {}
    for row in table.rows:
        start = row.pretrained or row.weights
        if start and row.label not in started.setdefault(start, []):
            started[start].append(row.label)
    if not started:  # a record of before rows said it
        return [f"every backbone started from {table.plan.weights}"] if table.plan.weights else []
    if len(started) == 1 and all(row.weights for row in table.rows if row.backbone):
        return [f"every backbone started from {file}" for file in started]
    return [f"{', '.join(labels)} started from {file}" for file, labels in started.items()]


def _unknown_costs(rows: Sequence[Row]) -> list[str]:
    """Why costs are unknown, with the rows."""
    reasons = {
        "images seen and TFLOP are unknown, since its own training loop did not count them": [
            row.name for row in rows if row.images_seen is None or row.flops is None
        ],
        "memory is unknown, since its process had held more before and this system does not set the peak back": [
            row.name for row in rows if row.peak_memory_bytes is None
        ],
    }
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items() if names]


def preset(row: Row) -> str:
    """``skd quick``, or ``skd quick (alpha = 3)`` where the plan changed options that decide the row."""
    return f"{row.label} {row.preset}{_changes(row.changed)}"


def _changes(changed: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} = {value}' for name, value in changed.items())})" if changed else ""


def _fingerprints(table: Table, target: str) -> str:
    return ", ".join(episode_set.fingerprint[:8] for episode_set in table.episodes if episode_set.target == target)

"""The benches of a run folder, a line each: what was asked, when, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.errors import RunsError
from harness.runs.benches import begun_benches, bench_files
from harness.runs.layout import stages_on_disk
from harness.runs.locking import is_free
from harness.runs.records import BegunRecord, BenchRecord, read

if TYPE_CHECKING:
    from harness.contract.plan import BenchPlan

MOST_METHODS = 4  # that are named


@dataclass(frozen=True)
class BenchSummary:
    """One bench."""

    id: str
    date: str  # when it ended, or began where it has not; UTC
    plan: str
    rows: int | None  # None: not known before it has ended
    state: str  # finished, 1 of 5 rows failed, unfinished (2 of 6 stages trained), running (…), damaged

    @property
    def finished(self) -> bool:
        return self.state == "finished"


@dataclass(frozen=True)
class FolderSummary:
    """All benches of a run folder, oldest first, and the stages beside them."""

    benches: Sequence[BenchSummary]
    unnamed: Sequence[str]  # folders of stages that no bench names


def summarise(output: Path) -> FolderSummary:
    """What a run folder holds.

    Raises:
        RunsError: there is neither a bench nor a stage.
    """
    stages = stages_on_disk(output)
    ended, damaged = _ended(output)
    begun = [record for record in begun_benches(output) if record.id not in {bench.id for bench in ended}]
    if not (stages or ended or damaged or begun):
        raise RunsError(f"{output} holds no bench. Make one: harness bench --output {output}")
    named = {folder for bench in ended for folder in folders_of(bench)} | {f for bench in begun for f in bench.stages}
    lines = [*(_summary(output, bench) for bench in ended), *(_summary_of_begun(output, bench) for bench in begun)]
    return FolderSummary(
        [*damaged, *sorted(lines, key=lambda line: line.date)], [folder for folder in stages if folder not in named]
    )


def folders_of(bench: BenchRecord) -> list[str]:
    """The folder of each stage that a bench names, once."""
    return list(dict.fromkeys(stage.folder for table in bench.tables for stage in table.stages))


def _ended(output: Path) -> tuple[list[BenchRecord], list[BenchSummary]]:
    whole, damaged = [], []
    for path in bench_files(output):
        try:
            whole.append(read(BenchRecord, path))
        except RunsError as error:
            damaged.append(BenchSummary(path.stem, "", str(error), None, "damaged"))
    return whole, damaged


def _summary(output: Path, bench: BenchRecord) -> BenchSummary:
    rows = {(table.dataset, stage.row) for table in bench.tables for stage in table.stages if stage.shown}
    failed = {
        (table.dataset, stage.row)
        for table in bench.tables
        for stage in table.stages
        if stage.shown and stage.failure is not None
    }
    whole = {stage.folder for table in bench.tables for stage in table.stages if stage.failure is None}
    missing = [folder for folder in whole if not (output / folder / "trained.json").exists()]
    state = [
        *([f"{len(failed)} of {len(rows)} rows failed"] if failed else []),
        *([f"{len(missing)} of {len(whole)} stages are gone"] if missing else []),
    ]
    return BenchSummary(bench.id, bench.created, in_short(bench.plan), len(rows), ", ".join(state) or "finished")


def _summary_of_begun(output: Path, bench: BegunRecord) -> BenchSummary:
    trained = sum((output / folder / "trained.json").exists() for folder in bench.stages)
    running = any(not is_free(output / folder) for folder in bench.stages)
    state = f"{'running' if running else 'unfinished'} ({trained} of {len(bench.stages)} stages trained)"
    return BenchSummary(bench.id, bench.begun, in_short(bench.plan), None, state)


def in_short(plan: BenchPlan) -> str:
    """``rfs, skd:paper on CIFAR-FS, quick, 5-way 1,5-shot, seeds 0-2``."""
    methods = plan.methods or ("default methods",)
    more = f" + {len(methods) - MOST_METHODS}" if len(methods) > MOST_METHODS else ""
    where = ", ".join(plan.dataset) + (f" → {plan.test_dataset}" if plan.test_dataset else "")
    shape = plan.varied or f"{spans(plan.way)}-way {spans(plan.shots)}-shot"
    seeds = f"seed{'s' if len(plan.seeds) > 1 else ''} {spans(plan.seeds)}"
    on = " (val)" if plan.score_on == "val" else ""
    return f"{', '.join(methods[:MOST_METHODS])}{more} on {where}{on}, {plan.preset}, {shape}, {seeds}"


def spans(numbers: Iterable[int]) -> str:
    """``0-2,5`` of 0, 1, 2, 5: as the command line takes them."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ",".join(map(str, part)) for part in parts)

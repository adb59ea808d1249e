"""``--dry-run``: what a bench would do, as a table on standard output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.bench.remaining import spoken
from harness.cli.terminal import print_columns, print_wrapped
from harness.common.text import n_bytes_shown
from harness.reports.words import counted

if TYPE_CHECKING:
    from harness.bench.dry_run import DryRun, ForetoldStage
    from harness.bench.table import BenchTable

UNKNOWN = "unknown: no stage like it yet"
WORDS = {"train": "train", "resume": "train on", "score": "score", "kept": "kept", "missing": "left out: not trained"}


def print_dry_run(run: DryRun) -> int:
    """A line for the stages of a row of which the same becomes, then the whole. Returns the exit status, 0."""
    lines = list(_lines(run))
    if len({line[0] for line in lines}) == 1:
        print_columns(["stage", "seeds", "what", "time"], [line[1:] for line in lines])
    else:
        print_columns(["dataset", "stage", "seeds", "what", "time"], lines)
    typer.echo()
    for text in _whole(run):
        print_wrapped(text)
    return 0


def _lines(run: DryRun) -> Iterator[list[str]]:
    tables = {job: table for table in run.tables for job in table.jobs}
    rows: dict[tuple[str, str], list[ForetoldStage]] = {}
    for stage in run.stages:
        table = tables[stage.job]
        name = table.row(stage.job) if table.shows(stage.job) else f"({stage.job.name})"
        rows.setdefault((_dataset(table), name), []).append(stage)
    for (dataset, name), stages in rows.items():
        for (what, _), alike in groupby(stages, lambda stage: (_what(stage), stage.seconds)):
            several = list(alike)
            yield [dataset, name, _seeds([stage.job.seed for stage in several]), what, _time(several)]


def _dataset(table: BenchTable) -> str:
    source = table.source
    return source.dataset if source.test_dataset is None else f"{source.dataset} → {source.test_dataset}"


def _what(stage: ForetoldStage) -> str:
    text = f"the same as {stage.same_as}" if stage.work == "shared" else WORDS[stage.work]
    if stage.untaught:
        text += ", nothing to train"
    if stage.after:
        text += f", after {stage.after}"
    if stage.failed:
        text += ", after it failed"
    return f"{text}; another run is at work on it" if stage.busy else text


def _time(stages: Sequence[ForetoldStage]) -> str:
    if stages[0].work in ("kept", "shared", "missing"):
        return "-"
    if stages[0].seconds is None:
        return UNKNOWN
    one = f"about {spoken(stages[0].seconds)}"
    return one if len(stages) == 1 else f"{len(stages)} × {one}"


def _seeds(seeds: Sequence[int]) -> str:
    """``0-2, 7`` of 0, 1, 2 and 7."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _whole(run: DryRun) -> Iterator[str]:
    """What becomes of the whole bench."""
    counts = {work: sum(stage.work == work for stage in run.stages) for work in (*WORDS, "shared")}
    parts = [
        f"{counts['train'] + counts['resume']} to train",
        f"{counts['score']} to score",
        f"{counts['kept']} kept from before",
        f"{counts['shared']} the same as others",
        f"{counts['missing']} left out",
    ]
    yield f"{counted(len(run.stages), 'stage')}: {', '.join(part for part in parts if not part.startswith('0 '))}"
    if any(stage.seconds != 0 for stage in run.stages):
        yield from _costs(run)
    yield "nothing is trained or written yet: the same command without --dry-run does it"


def _costs(run: DryRun) -> Iterator[str]:
    beside = f", {run.at_once} stages at once" if run.at_once > 1 else ""
    if run.unknown and run.seconds < 1:
        yield f"time: {_unknown(run)}"
    elif run.unknown:
        yield f"time: more than {spoken(run.seconds)}{beside}; of {counted(run.unknown, 'stage')} {_unknown(run)}"
    else:
        yield f"time: about {spoken(run.seconds)}{beside}, as such stages took {_where(run)}"
    if run.n_bytes:
        more = "about" if all(stage.n_bytes is not None for stage in run.stages) else "more than"
        yield f"room: {more} {n_bytes_shown(run.n_bytes)} in {run.output}, where {_free(run.output)} are free"


def _unknown(run: DryRun) -> str:
    return f"unknown, since no stage like {'it' if run.unknown == 1 else 'them'} was trained {_where(run)} yet"


def _where(run: DryRun) -> str:
    if run.machine is None:
        return f"in {run.output}, on whatever machine"
    words = [run.machine["device"], f"precision {run.machine['precision']}"]
    words.append(counted(int(run.machine["threads"]), "thread"))
    return f"in {run.output} on this machine ({', '.join(words)})"


def _free(folder: Path) -> str:
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return n_bytes_shown(shutil.disk_usage(place).free)

"""A bench of a run folder, or the file of a row, as one side of a comparison: harness/reports/side_by_side.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import UnknownName
from harness.reports.build import table_rows
from harness.reports.foreign import ForeignRow, TableEpisodes, read_row
from harness.reports.groups import group_stages, measured
from harness.reports.side_by_side import Side, SideRow, SideTable
from harness.runs import StageFolder
from harness.runs.benches import find_bench, split_reference
from harness.runs.deciding import deciding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.contract.plan import BenchPlan
    from harness.reports.model import Row
    from harness.runs.handed_on import RowRecord
    from harness.runs.record_base import EpisodesRecord
    from harness.runs.records import BenchRecord, StageRecord, TableRecord

# Of what decides a stage: keys of parents, which follow from all else, and what is said of a row anyhow.
LEFT_OUT = ("stages that it is trained from", "seed")


def side(reference: str, runs: Path, row: str | None = None, dataset: str | None = None) -> Side:
    """The side that ``ID``, ``FOLDER:ID``, ``FOLDER`` or a row's file ``FILE.json`` names.

    Args:
        runs: the folder of an ID alone.
        row: this row alone.
        dataset: this one alone.
    Raises:
        RunsError: there is no such bench, it is not whole, or the file holds no row.
        UnknownName: it has no such row or dataset.
    """
    if reference.lower().endswith(".json") and not Path(reference).is_dir():
        whole = _of_file(Path(reference))
    else:
        folder, which = split_reference(reference, runs)
        whole = _of_bench(folder, find_bench(folder, which))
    tables = dict(whole.tables)
    if dataset is not None:
        if dataset not in tables:
            raise UnknownName(f"dataset of {whole.name}", dataset, tables, "Datasets")
        tables = {dataset: tables[dataset]}
    if row is not None:
        rows = {name for table in tables.values() for name in table.rows}
        if row not in rows:
            raise UnknownName(f"row of {whole.name}", row, rows, "Rows")
        tables = {
            name: SideTable(table.dataset, table.facts, {row: table.rows[row]})
            for name, table in tables.items()
            if row in table.rows
        }
    return Side(whole.name, whole.plan, tables)


def _of_bench(output: Path, bench: BenchRecord) -> Side:
    tables = {table.dataset: _table(output, table) for table in bench.tables}
    return Side(f"bench {bench.id} of {output}, ended {bench.created}", _plan(bench.plan), tables)


def _plan(plan: BenchPlan) -> dict[str, Any]:
    """Field → value; of options that were set or swept each apart."""
    values = plan.model_dump(mode="json")
    parts = {f"{name} {option}": value for name in ("set", "sweep") for option, value in values.pop(name).items()}
    return {
        name.replace("_", "-"): value if value is not None else "not given" for name, value in values.items()
    } | parts


def _table(output: Path, table: TableRecord) -> SideTable:
    groups = group_stages(output, table)
    facts = {
        **_data(table.dataset, table.test_dataset, table),
        "split that is scored": table.split_fingerprint,
        "classes that are scored": table.n_test_classes,
        "missing images of the published dataset": table.partial,
        **_episodes(table.episodes),
    }
    rows = {}
    for row in table_rows(groups, table):
        first = groups[row.name].records[0]
        rows[row.name] = SideRow(
            name=row.name,
            floor=row.floor,
            seeds=row.seeds,
            facts={**_row(row), **_decided(output, first), **row.conditions},
            measured=groups[row.name].measured,
        )
    return SideTable(table.dataset, facts, rows)


def _data(dataset: str, test_dataset: str | None, table: TableRecord | RowRecord) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "tested on": test_dataset or dataset,
        "trained on the classes of": table.train_on,
        "scored on the split": table.score_on,
        "fingerprint": table.data_fingerprint,
        "notes": list(table.notes),
    }


def _episodes(kinds: Iterable[EpisodesRecord]) -> dict[str, str]:
    return {f"episodes {kind.spec}, {kind.n:,} {kind.target}": kind.fingerprint for kind in kinds}


def _row(row: Row | RowRecord) -> dict[str, Any]:
    return {
        "method": row.method,
        "stage": row.stage,
        "preset": row.preset or "none",
        "backbone": row.backbone or "none",
        "starting weights": row.weights or "none",
        "head": row.head,
        "seeds": list(row.seeds),
        "failure": getattr(row, "failure", None) or "none",
        **{f"option {name}": value for name, value in row.options.items()},
    }


def _decided(output: Path, record: StageRecord) -> Mapping[str, Any]:
    """What the stage of the first seed was decided by; nothing where that is not kept."""
    identity = StageFolder(output / record.folder).identity
    if identity is None:
        return {}
    return {name: value for name, value in deciding(identity).items() if name not in LEFT_OUT}


def _of_file(path: Path) -> Side:
    record = read_row(path)
    facts = {
        **_data(record.dataset, record.test_dataset, record),
        **_episodes(part.episodes for part in record.settings),
    }
    episodes = TableEpisodes.of(
        record.dataset, record.test_dataset, record.score_on, (part.episodes for part in record.settings)
    )
    reached = measured(ForeignRow(record, path.name).results(episodes))
    row = SideRow(
        name=record.row,
        floor=record.floor,
        seeds=record.seeds,
        facts={**_row(record), **record.conditions},
        measured=reached,
    )
    name = f"{record.row} in {path}, of bench {record.bench}, ended {record.created}"
    return Side(name, _plan(record.plan), {record.dataset: SideTable(record.dataset, facts, {record.row: row})})

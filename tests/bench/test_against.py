"""harness bench --against: other people's rows are refused before anything is trained, and may be the baseline."""

from __future__ import annotations

import pytest

from harness.bench.against import refusing_strangers, without_foreign_baseline
from harness.common.errors import RunsError
from harness.contract.plan import BenchPlan
from harness.reports.build import build_report
from harness.reports.foreign import read_rows
from harness.reports.rowfile import as_text, row_record


@pytest.fixture
def rows(run_bench, tmp_path):
    """The row ``pixels`` of somebody else's bench."""
    record = run_bench(methods=("pixels",), output=tmp_path / "theirs")
    file = tmp_path / "theirs.json"
    file.write_text(as_text(row_record(tmp_path / "theirs", record, "pixels")))
    return read_rows([file])


def test_other_episodes_end_a_bench_before_it_trains(run_bench, rows, tmp_path):
    with pytest.raises(RunsError, match="met other episodes"):
        run_bench(methods=("untrained",), episode_seed=1, observe=refusing_strangers(rows, lambda event: None))
    assert not list((tmp_path / "runs").glob("stages/*/*"))
    assert not list((tmp_path / "runs").glob("be*/*.json"))


def test_the_same_episodes_are_paired(run_bench, rows, tmp_path):
    events = []
    record = run_bench(methods=("pixels",), observe=refusing_strangers(rows, events.append))
    assert events
    report = build_report([(tmp_path / "runs", record)], baseline=rows[0].name, against=rows)
    [ours, theirs] = report.tables[0].rows
    assert all(cell.compared.found.difference.mean == 0 for cell in ours.cells.values())
    assert {spec: cell.intervals for spec, cell in ours.cells.items()} == {
        spec: cell.intervals for spec, cell in theirs.cells.items()
    }


def test_a_foreign_baseline_is_no_part_of_the_recorded_plan(rows):
    plan = BenchPlan(baseline=rows[0].name, equivalent=0.5)
    assert without_foreign_baseline(plan, rows) == BenchPlan()
    assert without_foreign_baseline(BenchPlan(baseline="rfs/simple"), rows).baseline == "rfs/simple"

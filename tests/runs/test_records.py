"""harness/runs/records.py: the run record is typed, has a format, and runs of 0.1 are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.common.errors import RunsError
from harness.reports.build import build_report
from harness.runs import load_benches
from harness.runs.records import FORMAT, BenchRecord, ScoreRecord, TrainedRecord, json_schema, parse, read
from tests.helpers.reports import SPECS, trained_record

SCHEMA = Path(__file__).parents[2] / "docs" / "record.schema.json"


def test_the_schema_in_the_docs_is_that_of_the_code():
    """To write it anew: json.dumps(harness.runs.records.json_schema(), indent=2)."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()


@pytest.mark.parametrize(
    ("kind", "place"),
    [(BenchRecord, "benches/abc123.json"), (TrainedRecord, "stages/CIFAR-FS/rfs-simple-0/trained.json")],
)
def test_what_is_written_is_read_back(kind, place, runs):
    path = runs(seeds=(0, 1)).add("rfs/simple").save().output / place
    record = read(kind, path)
    assert record.format == FORMAT
    assert json.loads(path.read_text()) == record.model_dump(mode="json")


def as_written_by_0_1(bench):
    """The same run folder as harness 0.1 wrote it: no format number, and without the fields that came later."""
    for path in [*bench.output.glob("benches/*.json"), *bench.output.glob("stages/*/*/trained.json")]:
        raw = json.loads(path.read_text())
        del raw["format"]
        for table in raw.get("tables", ()):
            del table["partial"]
            for stage in table["stages"]:
                del stage["marks"]
        for name in ("split", "split_seed", "skip_damaged"):
            raw.get("plan", {}).pop(name, None)
        path.write_text(json.dumps(raw))


def test_a_run_folder_of_0_1_is_reported_as_it_was(runs):
    bench = runs(seeds=(0, 1), notes=("partial data (3 of 64 base classes)",)).add("rfs/simple").add("skd/gen0")
    expected = bench.text()
    as_written_by_0_1(bench)
    records = load_benches(bench.output)
    assert records[0].tables[0].partial
    report = build_report([(bench.output, record) for record in records])
    assert set(report.tables[0].rows[0].cells) == set(SPECS)
    assert bench.text() == expected


def test_a_newer_format_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "trained.json"
    path.write_text(json.dumps({**trained_record().model_dump(), "format": FORMAT + 1}))
    with pytest.raises(RunsError, match=f"{path} has format {FORMAT + 1}.*pip install -U fsl-harness"):
        read(TrainedRecord, path)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"format": "x"}, {"format": FORMAT, "target": "ajar"}])
def test_a_damaged_record_is_one_line(value):
    with pytest.raises(RunsError, match=r"scores/x\.npz is damaged") as error:
        parse(ScoreRecord, value, Path("scores/x.npz"))
    assert "\n" not in str(error.value)


def test_a_field_that_nothing_knows_is_refused():
    value = {**trained_record().model_dump(), "colour": "red"}
    with pytest.raises(RunsError, match="colour: extra inputs are not permitted"):
        parse(TrainedRecord, value, Path("trained.json"))

"""harness/runs/log.py: lines are added, also after a process was killed in one, and readers skip what is torn."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from harness.runs.log import StageLog


@pytest.fixture
def log(tmp_path):
    return StageLog(tmp_path)


def test_each_line_is_json_with_its_time_in_utc(log):
    log.add("epoch", epoch=1, metrics={"loss": 0.5})
    log.add("ended", name="字")
    first, second = map(json.loads, log.path.read_text(encoding="utf-8").splitlines())
    assert (first["event"], first["metrics"], second["name"]) == ("epoch", {"loss": 0.5}, "字")
    when = datetime.fromisoformat(first["time"])
    assert when.tzinfo == UTC
    assert abs(datetime.now(UTC) - when) < timedelta(hours=1)


@pytest.mark.parametrize("torn", [b'{"time": "2026-01-01", "eve', b"\xff\xfe\x00", b'["no", "log"]', b"{" * 50_000])
def test_a_torn_line_costs_itself_alone(log, torn):
    log.add("started", pid=1)
    with log.path.open("ab") as file:
        file.write(torn)
    log.add("started", pid=2)
    assert [line["pid"] for line in log.lines()] == [1, 2]


def test_where_there_is_no_log_there_are_no_lines(log):
    assert list(log.lines()) == []


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    StageLog(tmp_path / "not there").add("started")
    assert not (tmp_path / "not there").exists()


def test_letters_that_are_half_a_character_are_written_out(log):
    log.add("started", label="\ud800")
    log.add("ended")
    assert [line["event"] for line in log.lines()] == ["started", "ended"]

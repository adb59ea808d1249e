"""harness/runs/benches.py: which bench an ID, its beginning or a folder with it means."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.common.errors import RunsError
from harness.runs import could_be_written, find_bench, find_benches, load_benches, writable
from harness.runs.benches import begun_benches, split_reference


@pytest.fixture
def folder(runs):
    """A run folder with the benches abc123, abd456 and e00, in this order."""
    bench = runs().add("rfs/simple")
    for name in ("abc123", "abd456", "e00"):
        bench.save(name)
    return bench.output


@pytest.mark.parametrize(("asked", "meant"), [("abc123", "abc123"), ("abc", "abc123"), ("e", "e00"), ("last", "e00")])
def test_the_beginning_of_an_id_is_enough_where_no_other_bench_begins_so(folder, asked, meant):
    assert find_bench(folder, asked).id == meant


def test_a_whole_id_that_another_begins_with_is_meant_itself(folder, runs):
    runs().add("rfs/simple").save("abc")
    assert find_bench(folder, "abc").id == "abc"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [("ab", "2 benches of .* begin with 'ab': abc123, abd456"), ("f", "no bench 'f'.*abc123"), ("", "no bench ''")],
)
def test_a_beginning_of_several_or_none_is_refused(folder, asked, reason):
    with pytest.raises(RunsError, match=reason):
        find_benches(folder, asked)


def test_the_last_bench_is_the_one_that_ended_last_whenever_its_file_was_copied(folder):
    for path, created in zip(
        sorted((folder / "benches").glob("*.json")), ("2026-03-01", "2026-02-01", "2026-01-01"), strict=True
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), "created": created}))
        os.utime(path, ns=(0, 0))
    assert [bench.id for bench in load_benches(folder)] == ["e00", "abd456", "abc123"]


def test_a_reference_names_a_bench_a_folder_or_both(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    default = Path("elsewhere")
    assert split_reference("abc", default) == (default, "abc")
    assert split_reference("runs:abc", default) == (Path("runs"), "abc")
    assert split_reference("runs", default) == (Path("runs"), "last")
    folder.rename(tmp_path / "odd:name")
    assert split_reference("odd:name", default) == (Path("odd:name"), "last")
    assert split_reference("odd:name:abc", default) == (Path("odd:name"), "abc")


def test_a_bench_that_is_ended_by_force_is_kept_as_begun_until_it_has_ended(run_bench, tmp_path):
    from harness.execution.events import JobDone
    from tests.helpers.bench import happened

    def stop(event):
        if happened([event], JobDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bench(methods=("pixels", "untrained"), observe=stop)
    [begun] = begun_benches(tmp_path / "runs")
    assert len(begun.stages) == 2
    assert all((tmp_path / "runs" / folder / "trained.json").exists() for folder in begun.stages[:1])
    record = run_bench(methods=("pixels", "untrained"))
    assert record.id == begun.id
    assert begun_benches(tmp_path / "runs") == []


@pytest.mark.parametrize("place", ["file", "file/below", "broken", "/proc/nowhere", "/proc/nowhere/below"])
def test_a_folder_that_cannot_be_written_is_told_in_the_same_words_without_trying(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    with pytest.raises(RunsError) as tried:
        writable(tmp_path / place)
    with pytest.raises(RunsError) as asked:
        could_be_written(tmp_path / place)
    assert str(asked.value) == str(tried.value)


def test_to_ask_whether_a_folder_can_be_written_leaves_nothing_there(tmp_path):
    could_be_written(tmp_path, tmp_path / "new" / "runs")
    assert not list(tmp_path.iterdir())

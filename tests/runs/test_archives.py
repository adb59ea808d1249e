"""harness runs export and import: the same reports anywhere, nothing lost."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from harness.common.errors import RunsError
from harness.runs import StageFolder, load_benches
from harness.runs.exporting import export_runs
from harness.runs.importing import import_runs
from tests.helpers.archives import export, reports


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_imported_folder_gives_the_same_bytes_of_every_report(bench, tmp_path):
    import_runs(export(bench, tmp_path / "a.zip"), tmp_path / "elsewhere")
    assert reports(tmp_path / "elsewhere") == reports(bench.output)
    assert [record.id for record in load_benches(tmp_path / "elsewhere")] == ["aaa", "bbb"]


def test_an_archive_holds_what_reports_need_and_no_more_unless_it_is_asked_for(bench, tmp_path):
    def endings(archive):
        names = zipfile.ZipFile(archive).namelist()
        assert not [name for name in names if "other-stage" in name or name.endswith((".pt", ".lock"))]
        return {name.rpartition("/")[2] for name in names}

    assert not {"weights.safetensors", "test-0.safetensors"} & endings(export(bench, tmp_path / "a.zip"))
    whole = endings(export(bench, tmp_path / "b.zip", weights=True, features=True))
    assert {"weights.safetensors", "test-0.safetensors"} <= whole


def test_the_same_runs_make_the_same_bytes(bench, tmp_path):
    first, second = (export(bench, tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second


def test_importing_twice_changes_nothing(bench, tmp_path):
    archive = export(bench, tmp_path / "a.zip", weights=True)
    import_runs(archive, tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    assert import_runs(archive, tmp_path / "elsewhere").written == 0
    assert files(tmp_path / "elsewhere") == before


def test_two_folders_become_one_without_loss(runs, tmp_path):
    here = runs(seeds=(0,)).add("rfs/simple").save("aaa")
    archive = export(here, tmp_path / "a.zip")
    shutil.rmtree(here.output)
    there = runs(seeds=(1,)).add("skd/gen0").save("bbb")
    before = files(there.output)
    import_runs(archive, there.output)
    assert {name: files(there.output)[name] for name in before} == before
    assert {record.id for record in load_benches(there.output)} == {"aaa", "bbb"}
    assert set(reports(there.output)) == {"markdown", "csv", "json", "html", "latex"}


def test_weights_come_to_a_stage_that_was_imported_without(bench, tmp_path):
    import_runs(export(bench, tmp_path / "a.zip"), tmp_path / "elsewhere")
    import_runs(export(bench, tmp_path / "b.zip", weights=True), tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").glob("stages/*/*/weights.safetensors"):
        assert path.read_bytes() == (bench.output / path.relative_to(tmp_path / "elsewhere")).read_bytes()


def test_a_stage_of_other_weights_or_accuracies_is_refused_and_nothing_is_written(bench, runs, tmp_path):
    archive = export(bench, tmp_path / "a.zip")
    other = tmp_path / "other"
    import_runs(archive, other)
    name = bench.stages[-4].folder
    path = other / name / "trained.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "weights_sha256": "0" * 64}))
    (other / "benches" / "aaa.json").unlink()
    before = files(other)
    with pytest.raises(RunsError, match=f"{name} .*other weights"):
        import_runs(archive, other)
    path.write_text(json.dumps(record))
    scores = next((other / name / "scores").glob("*.npz"))
    kept = StageFolder(other / name).load_score(scores.stem)
    assert kept is not None
    changed = np.roll(kept.score.accuracies, 1)
    with np.load(scores) as file:
        np.savez(scores, accuracies=changed, classes=file["classes"], about=file["about"])
    with pytest.raises(RunsError, match="other accuracies on the same episodes"):
        import_runs(archive, other)
    assert set(files(other)) == set(before)


def test_a_bench_without_failures_takes_the_place_of_the_same_with_some(bench, tmp_path):
    archive = export(bench, tmp_path / "a.zip")
    failed, whole = tmp_path / "failed", tmp_path / "whole"
    import_runs(archive, failed)
    import_runs(archive, whole)
    path = whole / "benches" / "bbb.json"
    record = json.loads(path.read_text())
    record["tables"][0]["stages"] = record["tables"][0]["stages"][:6]  # without those that failed
    path.write_text(json.dumps(record))
    export_runs(whole, load_benches(whole), tmp_path / "whole.zip")
    import_runs(tmp_path / "whole.zip", failed)
    assert (failed / "benches" / "bbb.json").read_bytes() == path.read_bytes()
    assert import_runs(archive, failed).kept == ("benches/bbb.json",)


def test_a_stage_at_work_is_not_written_to(bench, tmp_path):
    archive = export(bench, tmp_path / "a.zip")
    (tmp_path / "elsewhere" / bench.stages[0].folder).mkdir(parents=True)
    with (
        StageFolder(tmp_path / "elsewhere" / bench.stages[0].folder).lock(),
        pytest.raises(RunsError, match="at work now"),
    ):
        import_runs(archive, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").rglob("*.json"))


def test_what_is_not_whole_is_not_exported(bench, tmp_path):
    next((bench.output / bench.stages[0].folder / "scores").glob("*.npz")).unlink()
    with pytest.raises(RunsError, match="not whole"):
        export(bench, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()

"""harness runs: what is printed, and one line where something is not there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from harness.cli.main import main
from harness.runs import StageFolder, begin_bench
from harness.runs.records import BegunRecord


@pytest.fixture
def folder(runs):
    """Two benches: one finished, one with a row that failed."""
    bench = runs(seeds=(0, 1, 2)).add("rfs/simple").save("aaa111")
    bench.add("skd/gen0", failure="boom").save("bbb222")
    return bench.output


def output_of(capsys, *arguments):
    status = main([*map(str, arguments)])
    return status, capsys.readouterr().out


def test_list_has_a_line_a_bench_with_its_state(folder, capsys):
    status, text = output_of(capsys, "runs", "list", folder)
    assert status == 0
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["aaa111"].endswith("finished")
    assert lines["bbb222"].endswith("1 of 2 rows failed")
    assert "on CIFAR-FS, quick, 5-way 1,5-shot, seeds 0-2" in lines["aaa111"]


def test_list_tells_what_is_unfinished_running_gone_or_damaged(folder, runs, capsys):
    stages = sorted(str(path.relative_to(folder)) for path in folder.glob("stages/*/rfs*"))
    plan = runs().plan
    begin_bench(folder, BegunRecord(id="ccc", begun="2026-01-01", plan=plan, stages=(*stages[:2], "stages/x/y")))
    (folder / stages[0] / "trained.json").unlink()
    (folder / "benches" / "ddd.json").write_text("{")
    _, text = output_of(capsys, "runs", "list", folder, "--json")
    states = {bench["id"]: bench["state"] for bench in json.loads(text)["benches"]}
    assert states["aaa111"] == "1 of 3 stages are gone"
    assert states["ccc"] == "unfinished (1 of 3 stages trained)"
    assert states["ddd"] == "damaged"
    with StageFolder(folder / stages[1]).lock():
        _, text = output_of(capsys, "runs", "list", folder)
    assert "running (1 of 3 stages trained)" in text


def test_show_has_plan_sizes_and_conditions_of_every_stage(folder, capsys):
    weights = next(folder.glob("stages/*/rfs-simple-0/weights.safetensors")).stat().st_size
    _, text = output_of(capsys, "runs", "show", "aaa", folder)
    assert "seeds = [0, 1, 2]" in text
    assert f"{weights} B" in text
    assert "ran on: device A CPU; precision 32; torch 2.15.0" in text
    _, text = output_of(capsys, "runs", "show", f"{folder}:bbb", "--json")
    stages = json.loads(text)["stages"]
    assert [stage["state"] for stage in stages] == ["trained"] * 3 + ["failed: boom"] * 3
    assert stages[0]["bytes"]["weights"] == weights


def test_an_id_may_be_abbreviated_in_report(folder, capsys):
    status, text = output_of(capsys, "report", folder, "--bench", "aaa")
    assert status == 0
    assert "bench aaa111" in text


def test_prune_deletes_only_with_yes(folder, capsys):
    checkpoint = next(folder.glob("stages/*/rfs-simple-0")) / "checkpoint-1.pt"
    checkpoint.write_bytes(bytes(1500))
    _, text = output_of(capsys, "runs", "prune", folder)
    assert "1.5 kB  checkpoints of finished stages, from which longer trainings would go on: 1 stage" in text
    assert "nothing is deleted yet: --yes frees 1.5 kB" in text
    assert checkpoint.exists()
    _, text = output_of(capsys, "runs", "prune", folder, "--yes")
    assert "deleted 1.5 kB" in text
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("list", "absent"), "absent holds no bench. Make one: harness bench --output absent"),
        (("show", "zzz", "{folder}"), "no bench 'zzz'"),
        (("show", "all", "{folder}"), "give the ID of one"),
        (("show", "absent:abc"), "absent holds no bench"),
        (("prune", "absent"), "absent holds no run"),
    ],
)
def test_what_is_not_there_is_one_line(folder, tmp_path, monkeypatch, capsys, arguments, reason):
    monkeypatch.chdir(tmp_path)
    assert main(["runs", *(argument.format(folder=folder) for argument in arguments)]) == 2
    line = capsys.readouterr().err
    assert reason in line
    assert line.count("\n") == 1
    assert not (tmp_path / "absent").exists()


def test_looking_at_runs_imports_neither_torch_nor_pandas(folder):
    code = (
        "import sys; from harness.cli.main import main; "
        f"main(['runs', 'list', {str(folder)!r}]); main(['runs', 'show', 'aaa', {str(folder)!r}]); "
        "print(sorted({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


# ── handed on ─────────────────────────────────────────────────────────────────────────────────────


def test_export_and_import_give_the_same_report(folder, tmp_path, capsys):
    archive, elsewhere = tmp_path / "runs.zip", tmp_path / "elsewhere"
    _, text = output_of(capsys, "runs", "export", archive, folder)
    assert "2 benches" in text
    _, text = output_of(capsys, "runs", "import", archive, elsewhere)
    assert "aaa111, bbb222 written" in text
    reports = [output_of(capsys, "report", where, "--format", "json") for where in (folder, elsewhere)]
    assert reports[0] == reports[1]


def test_an_archive_has_the_pictures_of_its_pages_unless_they_are_left_out(small_runs, tmp_path, capsys):
    sizes = []
    for flags in ((), ("--no-pictures",)):
        archive = tmp_path / "runs.zip"
        assert output_of(capsys, "runs", "export", archive, small_runs, *flags)[0] == 0
        with zipfile.ZipFile(archive) as members:
            [name] = [name for name in members.namelist() if name.startswith("shown/")]
            with np.load(members.open(name)) as arrays:
                sizes.append((len(arrays["numbers"]), len(arrays["features"])))
    assert sizes[0][0] > 20
    assert sizes[0][1] > 20
    assert sizes[1] == (0, sizes[0][1])


def test_a_row_in_a_file_stands_in_another_report(folder, tmp_path, capsys):
    file = tmp_path / "theirs.json"
    assert output_of(capsys, "runs", "export", file, folder, "--row", "rfs/simple", "--bench", "aaa")[0] == 0
    row = f"{file.name}:rfs/simple"
    _, text = output_of(capsys, "report", folder, "--bench", "aaa", "--against", file, "--baseline", row)
    assert f"Paired differences from {row}" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("export", "x.tar", "{folder}"), "give it the ending .zip"),
        (("export", "x.zip", "absent"), "absent holds no bench"),
        (("export", "x.zip", "{folder}", "--row", "rfs/simple"), "give it the ending .json"),
        (("export", "x.json", "{folder}", "--row", "rfs/simpel"), "Did you mean 'rfs/simple'"),
        (("export", "x.json", "{folder}", "--row", "rfs/simple", "--weights"), "drop --weights"),
        (("export", "x.zip", "{folder}", "--dataset", "CUB"), "--dataset is for --row"),
        (("export", "{folder}/aaa111/x.zip", "{folder}"), "cannot write"),
        (("import", "absent.zip"), "No such file"),
    ],
)
def test_what_cannot_be_handed_on_is_one_line(folder, tmp_path, monkeypatch, capsys, arguments, reason):
    monkeypatch.chdir(tmp_path)
    (folder / "aaa111").write_text("a file where a folder is needed")
    assert main(["runs", *(argument.format(folder=folder) for argument in arguments)]) == 2
    line = capsys.readouterr().err
    assert reason in line
    assert line.count("\n") == 1
    assert not (tmp_path / "x.zip").exists()
    assert not (tmp_path / "x.json").exists()

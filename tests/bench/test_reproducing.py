"""harness runs reproduce: what is trained again is compared with the record, and refused where it is decided anew."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from harness.bench.reproducing import reproduce as reproduce_rows
from harness.bench.retraining import Asked
from harness.cli.main import main
from harness.common.errors import RunsError
from harness.execution.factory import make_executor
from harness.runs import load_benches
from harness.runs.reproduction import claim
from tests.helpers.bench import weights


@pytest.fixture(scope="module")
def again(small_runs, tmp_path_factory):
    """The small bench as an archive brought it, without weights, and the folder in which it was trained again."""
    folder = tmp_path_factory.mktemp("again")
    theirs, trained = folder / "theirs", folder / "trained"
    assert main(["runs", "export", str(folder / "runs.zip"), str(small_runs)]) == 0
    assert main(["runs", "import", str(folder / "runs.zip"), str(theirs)]) == 0
    status = main(["runs", "reproduce", "last", str(theirs), "--output", str(trained), "--executor", "inline", "-q"])
    return SimpleNamespace(theirs=theirs, trained=trained, status=status)


@pytest.fixture
def copy(again, tmp_path):
    """Copies of both, to be changed."""
    for name in ("theirs", "trained"):
        shutil.copytree(getattr(again, name), tmp_path / name)
    return tmp_path


def reproduce(copy, capsys, *arguments):
    """Exit status, standard output and standard error of a call that trains nothing new."""
    capsys.readouterr()
    output = [] if "--output" in arguments else ["--output", str(copy / "trained")]
    inline = ["--executor", "inline", "-q"]
    status = main(["runs", "reproduce", "last", str(copy / "theirs"), *output, *inline, *arguments])
    return status, *capsys.readouterr()


def stage(folder, name):
    [path] = folder.glob(f"stages/*/{name}-*")
    return path


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def changed_stage(copy, change, name="rfs-simple"):
    """As if the stage had been decided by something else when it was trained: its identity, and so its key."""
    edit(stage(copy / "theirs", name) / "identity.json", change)

    def with_another_key(record):
        for one in record["tables"][0]["stages"]:
            if f"{one['method']}-{one['stage']}" == name:
                one["key"] = "0" * 64

    edit(next(copy.glob("theirs/benches/*.json")), with_another_key)


# ── what is the same ──────────────────────────────────────────────────────────────────────────────


def test_rows_of_an_archive_come_out_the_same_to_the_last_digit(again, small_runs):
    assert again.status == 0
    names = sorted(path.parent.name for path in small_runs.glob("stages/*/*/weights.safetensors"))
    assert len(names) == 3
    for path in small_runs.glob("stages/*/*/weights.safetensors"):
        assert (again.trained / path.relative_to(small_runs)).read_bytes() == path.read_bytes()
    for path in small_runs.glob("stages/*/*/scores/*.npz"):
        with np.load(path) as then, np.load(again.trained / path.relative_to(small_runs)) as now:
            assert (then["accuracies"] == now["accuracies"]).all()


def test_what_a_row_is_trained_from_is_trained_again_too(run_bench, catalogue, tmp_path):
    record = run_bench(methods=("rfs",), rows=("rfs/distill-1",), seeds=(4,))
    workers, again = make_executor("inline", catalogue), tmp_path / "again"
    [row] = reproduce_rows(record, Asked(), catalogue, workers, tmp_path / "runs", again, tmp_path / "data")
    assert row.equal
    assert (row.row, row.seed) == ("rfs/distill-1", 4)
    assert weights(again) == weights(tmp_path / "runs")
    assert len(weights(again)) == 2
    [table] = load_benches(again)[0].tables
    assert [(stage.row, stage.shown) for stage in table.stages] == [("rfs/simple", False), ("rfs/distill-1", True)]


def test_where_all_is_equal_the_status_is_0_and_the_table_says_so(copy, capsys):
    status, text, _ = reproduce(copy, capsys)
    assert status == 0
    weights = {line.split()[0]: line.split()[2] for line in text.splitlines() if " 3 " in line and "all" in line}
    assert weights == dict.fromkeys(["pixels", "rfs/simple", "relation"], "equal")
    assert "3 of 3 equal to the last digit, under the same conditions" in text
    assert main(["report", str(copy / "trained")]) == 0


def test_one_row_and_seed_may_be_asked_for(copy, capsys):
    status, text, _ = reproduce(copy, capsys, "--row", "rfs/simple", "--seed", "3", "--json")
    values = json.loads(text)
    assert status == 0
    assert values["equal"] is True
    assert [(part["row"], part["seed"], part["weights"]) for part in values["stages"]] == [("rfs/simple", 3, "equal")]


def test_what_differs_is_told_with_its_size(copy, capsys):
    folder = stage(copy / "theirs", "rfs-simple")
    edit(folder / "trained.json", lambda trained: trained["conditions"].update(device="Another CPU", torch="1.0"))
    for score in folder.glob("scores/*.npz"):
        with np.load(score) as file:
            arrays = dict(file)
        if json.loads(str(arrays["about"]))["target"] == "closed":
            break
    arrays["accuracies"][[0, 1]] += [0.25, -0.05]
    np.savez(score, **arrays)
    status, text, _ = reproduce(copy, capsys, "--row", "rfs/simple")
    assert status == 1
    n = sum(len(np.load(path)["accuracies"]) for path in folder.glob("scores/*.npz"))
    assert f"2 of {n} differ, by up to 25.00 points" in text
    assert "torch was 1.0 (scored on " in text
    assert "device was Another CPU (scored on " in text
    assert "0 of 1 equal to the last digit\n" in text


def test_other_weights_are_not_equal_though_accuracies_are(copy, capsys):
    folder = stage(copy / "theirs", "rfs-simple")
    edit(folder / "trained.json", lambda trained: trained.update(weights_sha256="0" * 64))
    status, text, _ = reproduce(copy, capsys, "--row", "rfs/simple")
    assert status == 1
    assert "different" in text
    assert " equal  " in text


def test_the_difference_of_weights_is_a_share_of_a_tensors_norm(copy, capsys):
    import hashlib

    from safetensors.torch import load, save

    content = (stage(copy / "trained", "rfs-simple") / "weights.safetensors").read_bytes()
    tensors = load(content)
    largest = max(tensors, key=lambda name: tensors[name].numel())
    tensors[largest] = tensors[largest] * 0.99
    changed = save(tensors)
    folder = stage(copy / "theirs", "rfs-simple")
    (folder / "weights.safetensors").write_bytes(changed)
    digest = hashlib.sha256(changed).hexdigest()
    edit(folder / "trained.json", lambda trained: trained.update(weights_sha256=digest))
    _, text, _ = reproduce(copy, capsys, "--row", "rfs/simple", "--json")
    assert json.loads(text)["stages"][0]["weights_within"] == pytest.approx(0.01, rel=1e-4)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda identity: identity.update(version=99), "version of the method's stage was 99, now "),
        (lambda identity: identity["options"].update(dropped=0.5), "option dropped was 0.5, now not there"),
        (lambda identity: identity["options"].update(epochs=4321), "option epochs was 4321, now "),
        (lambda identity: identity.update(data="f" * 64), "fingerprint of the training images was ffffffffffff, now "),
        (lambda identity: None, "the code that trains all methods"),
    ],
)
def test_what_is_decided_otherwise_now_is_refused_in_one_line(copy, capsys, change, reason):
    changed_stage(copy, change)
    before = sorted(copy.rglob("*"))
    status, _, line = reproduce(copy, capsys)
    assert status == 2
    assert "rfs/simple seed 3 cannot be trained again as it was" in line
    assert reason in line
    assert "install the versions that trained it (harness " in line
    assert line.count("\n") == 1
    assert sorted(copy.rglob("*")) == before


def in_record(copy, change):
    edit(next(copy.glob("theirs/benches/*.json")), change)


def one_stage(**values):
    return lambda record: record["tables"][0]["stages"][1].update(values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (one_stage(method="rsf"), "unknown method 'rsf'"),
        (one_stage(stage="gen7"), "no stage 'gen7'"),
        (one_stage(folder="../../elsewhere"), "outside of it"),
        (one_stage(backbone="resnet13"), "resnet13"),
        (
            one_stage(weights="/absent/weights.pt"),
            "started from /absent/weights.pt, which is not here",
        ),
        (lambda record: record["tables"][0].update(dataset="CIFAR-FS"), "CIFAR-FS"),
        (lambda record: record["tables"][0].update(data_fingerprint="f" * 64, episodes=[]), "holds other images"),
        (lambda record: record["tables"][0].update(episodes=[]), "are drawn otherwise"),
    ],
)
def test_what_is_not_here_is_one_line(copy, capsys, change, reason):
    in_record(copy, change)
    status, _, line = reproduce(copy, capsys, "--row", "rfs/simple", "--data-root", str(copy / "no data"))
    assert status == 2
    assert reason in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--row", "rfs/simpel"), "Did you mean 'rfs/simple'"),
        (("--seed", "4"), "unknown seed of this bench '4'"),
        (("--dataset", "CUB"), "unknown dataset of this bench 'CUB'"),
        (("--device", "gpu"), "unknown device 'gpu'"),
    ],
)
def test_a_wrong_name_is_one_line(copy, capsys, arguments, reason):
    status, _, line = reproduce(copy, capsys, *arguments)
    assert status == 2
    assert reason in line
    assert line.count("\n") == 1


def test_a_row_that_failed_has_nothing_to_meet(copy, capsys):
    in_record(copy, one_stage(failure="boom"))
    assert "rfs/simple seed 3 failed (boom)" in reproduce(copy, capsys, "--row", "rfs/simple")[2]
    assert "2 of 2 equal" in reproduce(copy, capsys)[1]


def test_a_stage_that_is_gone_is_told_before_anything_is_trained(copy, capsys):
    shutil.rmtree(stage(copy / "theirs", "rfs-simple") / "scores")
    status, _, line = reproduce(copy, capsys, "--output", str(copy / "fresh"))
    assert status == 2
    assert "is not whole" in line
    assert not (copy / "fresh").exists()


def test_rows_are_trained_again_in_a_folder_of_their_own_alone(copy, capsys):
    for folder in (copy / "theirs", shutil.copytree(copy / "theirs", copy / "other")):
        before = sorted(folder.rglob("*"))
        status, _, line = reproduce(copy, capsys, "--output", str(folder))
        assert status == 2
        assert "--output FOLDER" in line
        assert sorted(folder.rglob("*")) == before
    claim(copy / "new", "aaa")
    claim(copy / "new", "aaa")
    with pytest.raises(RunsError, match="where bench aaa was trained again"):
        claim(copy / "new", "bbb")
    (copy / "new" / "reproduction.json").write_text("{")
    with pytest.raises(RunsError, match=r"is damaged.*in another folder"):
        claim(copy / "new", "aaa")

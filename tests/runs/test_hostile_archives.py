"""Archives of runs that are not what they should be: one line, and nothing is written."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from harness.common.errors import RunsError
from harness.runs.exporting import MANIFEST
from harness.runs.importing import import_runs
from tests.helpers.archives import export, reports


def rewritten(archive, change, listed=True):
    """The archive after ``change(name → content)``; its list of files is made anew, unless not ``listed``."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members.pop(MANIFEST))
    change(members)
    if listed:
        manifest["files"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        ]
    changed = archive.with_name("changed.zip")
    with zipfile.ZipFile(changed, "w") as file:
        for name, data in {**members, MANIFEST: json.dumps(manifest).encode()}.items():
            file.writestr(name, data)
    return changed


def first(members, ending):
    return next(name for name in members if name.endswith(ending))


def put(name, data=b"{}"):
    return lambda members: members.update({name: data})


def swap(ending, data):
    return lambda members: members.update({first(members, ending): data})


def edit(ending, old, new):
    def change(members):
        name = first(members, ending)
        assert old in members[name]
        members[name] = members[name].replace(old, new)

    return change


def arrays(**values):
    file = io.BytesIO()
    np.savez(file, **values)
    return file.getvalue()


def header_that_lies():
    """A file of scores whose accuracies say that they are 8 EB long."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000,), }"
        data = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
        members.writestr("accuracies.npy", data)
        for name in ("classes", "about"):
            members.writestr(f"{name}.npy", data)
    return file.getvalue()


def shown_arrays(pictures=b"RIFF....WEBP", ends=None, features=0.5):
    """A file in shown/ of one picture and the features of one image."""
    return arrays(
        numbers=np.array([0]),
        pictures=np.frombuffer(pictures, np.uint8),
        ends=np.array([len(pictures)] if ends is None else ends),
        images=np.array([0]),
        features=np.full((1, 2), features, np.float32),
        about="{}",
    )


FOLDER = "stages/CIFAR-FS/rfs-simple-0"
HOSTILE = {
    "a way out": (put("stages/../../escaped.json"), "no archive of runs holds such a file"),
    "a way out of a stage": (put(f"{FOLDER}/embeddings/../../x.safetensors"), "no archive of runs"),
    "an absolute path": (put("/tmp/escaped.json"), "no archive of runs"),
    "a Windows path": (put(r"stages\CIFAR-FS\x\identity.json"), "no archive of runs|not those that"),
    "a hidden folder": (put("stages/.git/x/identity.json"), "no archive of runs"),
    "a pickle": (put(f"{FOLDER}/checkpoint-1.pt", b"\x80\x04."), "no archive of runs"),
    "a program": (put(f"{FOLDER}/run.py"), "no archive of runs"),
    "a name twice by its letters": (put(f"{FOLDER}/IDENTITY.json".replace("stages", "Stages")), "no archive of runs"),
    "damaged json": (swap("trained.json", b"{"), "damaged"),
    "nested json": (swap("trained.json", b"[" * 100_000), "damaged"),
    "a record of nothing": (swap("trained.json", b"{}"), "damaged: .*required"),
    "arrays that are none": (swap(".npz", b"PK\x03\x04"), "damaged"),
    "arrays of objects": (
        swap(".npz", arrays(accuracies=np.array([{}], object), classes=np.zeros((1, 5), int), about="{}")),
        "objects",
    ),
    "arrays that lie about their size": (swap(".npz", header_that_lies()), "does not fit its shape"),
    "other arrays": (swap(".npz", arrays(accuracies=np.zeros(3))), "does not hold"),
    "accuracies that are none": (
        swap(".npz", arrays(accuracies=np.full(2, np.nan), classes=np.zeros((2, 5), int), about="{}")),
        "damaged",
    ),
    "a bench that names a folder elsewhere": (
        edit("aaa.json", FOLDER.encode(), b"stages/../../../etc/passwd"),
        "none of stages/DATASET/NAME",
    ),
    "a bench under another's name": (edit("aaa.json", b'"id": "aaa"', b'"id": "../x"'), "the record of bench"),
    "a row that commands the terminal": (edit("aaa.json", b"rfs/simple", b"\\u001b[2Jrfs/simple"), "control"),
    "a row of two lines": (edit("aaa.json", b'"rfs/simple"', b'"rfs/simple\\n| forged | 99.9 |"'), "control"),
    "a bench without its stages": (lambda members: members.pop(first(members, ".npz")), "the archive lacks"),
    "a picture that is none": (put("shown/aaa-0.npz", shown_arrays(pictures=b"<svg onload=alert(1)>")), "is no webp"),
    "pictures that do not fit": (put("shown/aaa-0.npz", shown_arrays(ends=[9])), "do not fit their numbers"),
    "features of no number": (put("shown/aaa-0.npz", shown_arrays(features=np.nan)), "do not fit its images"),
    "other weights": (swap("weights.safetensors", b"other"), "other weights than its record"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_one_line_and_nothing_is_written(bench, tmp_path, what):
    change, reason = HOSTILE[what]
    archive = rewritten(export(bench, tmp_path / "a.zip", weights=True), change)
    with pytest.raises(RunsError, match=reason) as error:
        import_runs(archive, tmp_path / "deep" / "elsewhere")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "deep").exists()
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (swap("metrics.csv", b"loss\n9.0\n"), "sha256|not as large"),
        (put("benches/zzz.json"), "not those that"),
        (lambda members: members.pop(first(members, "metrics.csv")), "not those that"),
    ],
)
def test_what_does_not_fit_the_list_of_files_is_refused(bench, tmp_path, change, reason):
    archive = rewritten(export(bench, tmp_path / "a.zip"), change, listed=False)
    with pytest.raises(RunsError, match=reason):
        import_runs(archive, tmp_path / "elsewhere")


def test_every_byte_of_an_archive_is_checked(bench, tmp_path, rng):
    content = export(bench, tmp_path / "a.zip").read_bytes()
    whole = reports(bench.output)["json"]
    for _ in range(30):
        place = int(rng.integers(len(content)))
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged.zip").write_bytes(damaged)
        target = tmp_path / f"to-{place}"
        with contextlib.suppress(RunsError):
            import_runs(tmp_path / "damaged.zip", target)
        # Nothing, or all of it: a bit that nothing depends on, as of a time.
        assert not target.exists() or reports(target)["json"] == whole


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_one_line(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(RunsError, match="no archive of runs"):
        import_runs(tmp_path / "a.zip", tmp_path / "elsewhere")
    with pytest.raises(RunsError, match="No such file"):
        import_runs(tmp_path / "absent.zip", tmp_path / "elsewhere")

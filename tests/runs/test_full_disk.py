"""A disk that fills up, a run folder that goes away: one line, earlier results whole, and it goes on with room."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from harness.cli.main import main
from harness.common.errors import CannotWrite, DataError, RunsError
from harness.common.files import write_text
from harness.datasets.prepared.store import build
from harness.evaluation.events import EmbeddingProgress
from harness.runs import StageFolder
from harness.training.events import EpochDone
from tests.helpers.bench import weights

PAGE = 4096  # bytes; what a tmpfs gives out
UNIT = {"bytes": 1, "KiB": 2**10, "MiB": 2**20}


class Disk:
    """A small file system of its own."""

    def __init__(self, path):
        self.path = path
        self.pages = 1
        path.mkdir()
        self._mount("size=4k")

    def grow(self, n_bytes):
        """Make room for a file of so many bytes, and for no page more."""
        free = shutil.disk_usage(self.path).free // PAGE
        self.pages += max(1, math.ceil(n_bytes / PAGE) - free)
        self.remount(f"size={self.pages * PAGE}")

    def fill(self):
        (self.path / "rest").write_bytes(b"0" * shutil.disk_usage(self.path).free)

    def remount(self, options):
        self._mount(f"remount,{options}")

    def _mount(self, options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "harness-test", str(self.path)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = Disk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", "-l", str(made.path)], check=True)


def test_each_kind_of_file_that_does_not_fit_is_one_line_and_the_bench_goes_on_with_room(run_bench, disk, tmp_path):
    values = {"set": {"rfs.generations": 0}, "shots": (1,), "budget": 192}
    refused = []

    def fill_once(event):  # the checkpoint that went made room
        if isinstance(getattr(event, "event", None), EmbeddingProgress) and not (disk.path / "rest").exists():
            disk.fill()

    for _ in range(60):
        try:
            record = run_bench(output=disk.path / "runs", observe=fill_once, **values)
            break
        except CannotWrite as error:
            line = str(error)
            assert "\n" not in line
            name, number, unit = re.search(r"no room in .*: (\S+) needs ([\d.,]+) (\w+), .* are free", line).groups()
            refused.append(re.sub(r"[0-9a-f]{12,}", "KEY", name))
            assert not list(disk.path.rglob("*.tmp"))
            disk.grow(float(number.replace(",", "")) * UNIT[unit])
    assert record.tables[0].stages[0].failure is None
    assert {"identity.json", "checkpoint-1.pt", "metrics.csv", "weights.safetensors", "trained.json"} <= set(refused)
    assert {"test-KEY.safetensors", "KEY.npz", "KEY.json"} <= set(refused)
    run_bench(output=tmp_path / "whole", **values)
    assert weights(disk.path / "runs") == weights(tmp_path / "whole")


def test_a_full_disk_leaves_the_report_that_is_there(runs, disk, capsys):
    runs().add("rfs", mean=0.6).save()
    folder, file = disk.path.parent / "runs", disk.path / "report.json"
    disk.grow(PAGE)
    write_text(file, "the earlier one")
    disk.fill()
    capsys.readouterr()
    assert main(["report", str(folder), "-o", str(file)]) == 2
    assert re.fullmatch(r"harness: no room in \S+: report.json needs .*\n", capsys.readouterr().err)
    assert file.read_text() == "the earlier one"
    assert not list(disk.path.rglob("*.tmp"))


def test_prepared_data_that_do_not_fit_leave_nothing_behind(disk):
    def write(folder):
        (folder / "train_images.npy").write_bytes(np.zeros(64 * PAGE, np.uint8).tobytes())

    disk.grow(8 * PAGE)
    with pytest.raises(DataError, match=r"No space left on device \(.* are free\); nothing is left of it"):
        build(disk.path, "mine", write)
    assert not [path for path in disk.path.rglob("*") if not path.name.endswith(".lock")]
    disk.grow(128 * PAGE)
    assert (build(disk.path, "mine", write) / "train_images.npy").stat().st_size == 64 * PAGE


def test_a_run_folder_that_is_moved_while_it_is_used_ends_the_bench_in_one_line(run_bench, tmp_path):
    values = {"set": {"rfs.generations": 0}, "budget": 192 * 3}
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"

    def move(event):
        if isinstance(getattr(event, "event", None), EpochDone) and there.exists():
            there.rename(elsewhere)

    with pytest.raises(CannotWrite, match=rf"{there}.* is gone: it was moved or deleted while it was used") as error:
        run_bench(output=there, observe=move, **values)
    assert "\n" not in str(error.value)
    assert not there.exists()
    epochs = []
    run_bench(output=elsewhere, observe=epochs.append, **values)
    assert [e.event.epoch for e in epochs if isinstance(getattr(e, "event", None), EpochDone)] == [2, 3]


def test_a_run_folder_that_has_become_read_only_is_one_line(run_bench, disk):
    values = {"output": disk.path / "runs", "set": {"rfs.generations": 0}, "shots": (1,), "budget": 192}
    disk.grow(8 << 20)
    run_bench(**values)
    disk.remount("ro")
    with pytest.raises(RunsError, match=r"cannot write to .*: Read-only file system"):
        run_bench(**values)
    with pytest.raises(CannotWrite, match=r"cannot write .*: Read-only file system\. What is done is kept"):
        StageFolder(next(disk.path.glob("runs/stages/tiny/*"))).lock()

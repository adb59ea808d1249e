"""Devices, precisions, threads, memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.common.errors import HarnessError
from harness.hardware import memory
from harness.hardware.hardware import Hardware, choose_hardware, cpu_flags, device_name, has_native_bf16
from harness.hardware.memory import PeakMemory, peak_memory_bytes
from harness.hardware.process import prepare_process

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def test_auto_takes_the_gpu_if_there_is_one_and_bf16_where_native():
    hardware = choose_hardware()
    assert hardware.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert hardware.precision == ("bf16" if has_native_bf16(hardware.device) else "32")
    assert hardware.threads == torch.get_num_threads()


def test_what_is_asked_for_is_taken():
    assert choose_hardware("cpu", "32", 3) == Hardware("cpu", "32", 3)
    assert choose_hardware("cpu", "bf16", 1) == Hardware("cpu", "bf16", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpu", "auto"), "unknown device 'gpu'"),
        (("cuda:x", "auto"), "unknown device 'cuda:x'"),
        (("cuda:99", "auto"), "device 'cuda:99' asked for, but torch .* sees [0-9]+ CUDA GPU"),
        (("cpu", "fp16"), "unknown precision 'fp16'. Did you mean 'bf16'"),
        (("cpu", "32", 0), "threads must be 1 or more, got 0"),
        (("cuda", "32", None, 99), "--devices 99, but torch .* sees [0-9]+ CUDA GPU|device 'cuda' asked for"),
    ],
)
def test_what_there_is_not_is_refused_in_one_line(arguments, message: str):
    with pytest.raises(HarnessError, match=message) as error:
        choose_hardware(*arguments)
    assert "\n" not in str(error.value)


def test_processes_that_train_together_have_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_hardware("cuda", "32", 1, 2, rank).device for rank in (0, 1)] == ["cuda:0", "cuda:1"]
    assert choose_hardware("cuda:1", "32", 1).device == "cuda:1"
    with pytest.raises(HarnessError, match="--device cuda:1 names one GPU, --devices 2 needs more"):
        choose_hardware("cuda:1", "32", 1, 2)
    with pytest.raises(HarnessError, match=r"--devices 3, but torch .* sees 2"):
        choose_hardware("auto", "32", 1, 3)


def test_processes_that_train_together_share_the_processor(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert choose_hardware("cpu", "32").threads == 8
    assert choose_hardware("cpu", "32", devices=3).threads == 2
    assert choose_hardware("cpu", "32", devices=16).threads == 1
    assert choose_hardware("cpu", "32", 5, devices=3).threads == 5


@pytest.mark.parametrize("tasks", ["1", "4"])
def test_within_a_slurm_job_training_is_as_elsewhere(tasks: str, monkeypatch):
    slurm = {"NTASKS": tasks, "JOB_ID": "1", "JOB_NAME": "mine", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    fabric = Hardware("cpu", "32", 1).fabric()
    fabric.launch()
    assert (fabric.world_size, fabric.global_rank) == (1, 0)


def test_autocast_computes_in_the_precision():
    layer = torch.nn.Linear(2, 2)
    with Hardware("cpu", "bf16", 1).autocast():
        assert layer(torch.zeros(1, 2)).dtype == torch.bfloat16
    with Hardware("cpu", "32", 1).autocast():
        assert layer(torch.zeros(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(("precision", "name"), [("bf16", "bf16-mixed"), ("32", "32-true")])
def test_fabric_has_the_same_device_and_precision(precision: str, name: str, capsys):
    fabric = Hardware("cpu", precision, 1).fabric()
    assert fabric.device.type == "cpu"
    assert fabric._precision.precision == name
    assert fabric.world_size == 1
    assert not any(capsys.readouterr())


def test_the_conditions_name_device_precision_threads_and_versions():
    conditions = Hardware("cpu", "32", 2).describe()
    assert conditions["torch"] == torch.__version__
    assert conditions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert conditions["threads"] == "2"
    assert conditions["precision"] == "32"
    assert conditions["device"] == device_name("cpu") != ""
    assert all(isinstance(value, str) for value in conditions.values())


@pytest.mark.skipif(not hasattr(torch.cpu, "_is_avx512_bf16_supported"), reason="this torch does not tell")
def test_the_processors_flags_agree_with_torch():
    assert ("avx512_bf16" in cpu_flags()) == torch.cpu._is_avx512_bf16_supported()


def test_preparing_sets_threads_and_kernels_that_repeat():
    before = torch.get_num_threads()
    try:
        prepare_process(Hardware("cpu", "32", 1))
        assert torch.get_num_threads() == 1
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.set_num_threads(before)


FAULTS = """
import os
import resource
import sys

import torch
from harness.hardware.memory import tune_allocator

def faults_of_using(n_bytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(n_bytes, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for setting in sys.argv[1:]:
    if os.fork():  # a setting is a process's, and for good
        if status := os.wait()[1]:
            sys.exit(os.waitstatus_to_exitcode(status))
    else:
        if setting != "untuned" and not tune_allocator(keep_largest=setting == "all kept"):
            os._exit(77)
        # The first uses, seen up to eight, may each lie beside the last, until the heap has room in one piece.
        print(*(min(faults_of_using(size) for _ in range(20)) for size in (2**24, 2**26)), flush=True)
        os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_allocator_keeps_what_is_freed():
    settings = ["untuned", "all kept", "but the largest"]
    result = subprocess.run([sys.executable, "-c", FAULTS, *settings], text=True, capture_output=True)
    if result.returncode == 77:
        pytest.skip("not glibc")
    untuned, all_kept, rest = ([int(number) for number in line.split()] for line in result.stdout.splitlines())
    _, fresh = untuned  # 64 MB: every use of fresh memory faults at each of its pages
    assert max(all_kept) < 0.1 * fresh
    small, large = rest  # of 16 and 64 MB
    assert small < 0.1 * fresh
    assert large > 0.9 * fresh


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system sets no peak back")
def test_a_peak_is_that_of_the_work_since_it_was_set_back():
    def peak(n_bytes):
        memory = PeakMemory(Hardware("cpu", "32", 1))
        np.ones(n_bytes, np.uint8)  # and freed
        return memory.n_bytes()

    large, small = peak(2**28), peak(2**25)
    assert 2**28 > large - small > 2**27


def test_a_peak_that_cannot_be_set_back_is_known_only_where_it_rises(monkeypatch):
    monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    hardware = Hardware("cpu", "32", 1)
    np.ones(2**28, np.uint8)
    lower = PeakMemory(hardware)
    assert lower.n_bytes() is None
    held = np.ones(peak_memory_bytes(hardware), np.uint8)
    assert lower.n_bytes() > held.nbytes


def test_peak_memory_counts_what_was_held():
    held = np.ones(2**25)  # 256 MiB
    assert peak_memory_bytes(Hardware("cpu", "32", 1)) > held.nbytes

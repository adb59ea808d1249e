"""harness/execution/lifeline.py: no process outlives its bench, not even one that Python has no say over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it is Linux's")

# A regular expression that takes years, in C code that lets no thread of Python have a turn.
STUCK = "import re; re.match('(a+)+b', 'a' * 64)"

PARENT = """
import os, subprocess, sys
child = "import os; from harness.execution.lifeline import die_with; die_with(int(os.environ['PARENT'])); "
child += "print(os.getpid(), flush=True); " + sys.argv[1]
subprocess.run([sys.executable, "-c", child], env={**os.environ, "PARENT": sys.argv[2] or str(os.getpid())})
"""

BENCH = """
import sys
from harness.execution.lifeline import start_server
from harness.execution.local import LocalExecutor
if __name__ == "__main__":
    context = LocalExecutor()._context
    start_server()
    code = "import os; from harness.execution.local import _start_work; _start_work(); "
    code += "os.write(2, f'{os.getpid()} {os.getppid()}\\\\n'.encode()); "
    context.Process(target=exec, args=(code + sys.argv[1],)).start()
    sys.stdin.read()
"""


def is_there(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(*processes):
    """Those that are still there when the patience of any user is at its end."""
    for _ in range(600):
        if not any(map(is_there, processes)):
            break
        time.sleep(0.05)
    return [process for process in processes if is_there(process)]


def test_the_kernel_ends_a_process_that_is_deep_in_c_code():
    parent = subprocess.Popen([sys.executable, "-c", PARENT, STUCK, ""], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert is_there(child)
    parent.kill()
    parent.wait()
    assert wait_until_gone(child) == []


def test_a_process_whose_parent_has_ended_before_ends_at_once():
    done = subprocess.run([sys.executable, "-c", PARENT, STUCK, "1"], capture_output=True, text=True)
    assert done.stdout == ""


def test_neither_worker_nor_fork_server_outlives_a_bench_that_is_killed(tmp_path):
    script = tmp_path / "bench.py"
    script.write_text(BENCH)
    bench = subprocess.Popen(
        [sys.executable, str(script), STUCK], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert bench.stdin is not None
    assert bench.stderr is not None
    with bench.stdin, bench.stderr:
        worker, server = map(int, bench.stderr.readline().split())
        assert is_there(worker)
        assert server not in (bench.pid, os.getpid())
        bench.kill()
        bench.wait()
    assert wait_until_gone(worker, server) == []

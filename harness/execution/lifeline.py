"""Processes that end when the bench ends that they work for, whatever ended it: a killed one cannot tell them.

On Linux the kernel kills them, also in the middle of C code, as while torch is being loaded, where no thread of Python
gets a turn. The fork server is a child of the bench, and each worker one of the fork server. Elsewhere, and where the
fork server was not started by the main thread of the bench, a thread of each worker waits for the bench's end.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import forkserver

PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
ABOUT = "HARNESS_SERVER"  # in the environment of a fork server: the process that it ends with, and what to put back
PATHS = ("PYTHONPATH", "PYTHONSAFEPATH")  # where Python imports from, and that it is not the current folder first

_server: int | None = None  # process ID of the fork server, in it and in all that are forked from it


def start_server() -> None:
    """Start the fork server unless it runs. It imports from where this process does, and not from the current folder.

    Only the main thread's is tied to the bench: the kernel ties it to a thread.
    """
    before = {name: os.environ.get(name) for name in PATHS}
    tied = threading.current_thread() is threading.main_thread()
    about = {"owner": os.getpid() if tied else None, "environment": before}
    paths = dict.fromkeys(path or os.getcwd() for path in sys.path)
    os.environ.update({PATHS[0]: os.pathsep.join(paths), PATHS[1]: "1", ABOUT: json.dumps(about)})
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C waits until the server ignores it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        del os.environ[ABOUT]
        _restore(before)


def end_server_with_bench() -> None:
    """Called by the fork server before it loads anything."""
    global _server
    _server = os.getpid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bench's, also while this process loads
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    about = json.loads(os.environ.pop(ABOUT, "{}"))
    _restore(about.get("environment", {}))  # for what workers start
    if about.get("owner"):
        die_with(about["owner"])


def _restore(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def end_worker_with_bench() -> None:
    """Called by a worker."""
    if _server is not None:
        die_with(_server)
    threading.Thread(target=_wait_for_bench, daemon=True).start()


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread ends that started it; at once where ``parent`` has ended."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _wait_for_bench() -> None:
    bench = multiprocessing.parent_process()
    if bench is not None:
        multiprocessing.connection.wait([bench.sentinel])
        os._exit(1)

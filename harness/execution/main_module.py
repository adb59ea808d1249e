"""Workers do without the program that started the bench: a script, a notebook, a test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_lock = threading.Lock()


@contextmanager
def hidden_main_module() -> Iterator[None]:
    """Inside, a process that multiprocessing starts does not run the caller's main module over again.

    It would: to find functions and classes that are defined there. A worker needs none, for plugins are installed, and
    a script without ``if __name__ == "__main__"`` would start its bench anew in every worker.
    """
    with _lock:
        kept = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = kept

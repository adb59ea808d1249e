"""Standard output is for tables: what plugins print goes elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """Inside, what a plugin prints goes to standard error: standard output is for tables."""
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # there is none
            yield
            return
        os.dup2(2, 1)  # also of what is printed by C code and by programs that it starts
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)

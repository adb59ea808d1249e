"""The log of a stage: ``log.jsonl`` in its folder, a line of JSON for each thing that happened, in order.

Each line has ``time`` (UTC, ISO 8601) and ``event``; docs/reports.md says what else. Lines are only ever added. A
process that is killed in the middle of one leaves it torn: the next process begins a line of its own, and readers skip
what is no JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StageLog:
    """The log in a stage's folder."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "log.jsonl"

    def add(self, event: str, **values: Any) -> None:
        """A line at the end. Where it cannot be written, as on a full disk, work goes on without it."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **values}, ensure_ascii=False, default=str) + "\n"
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                torn = not _ends_a_line(descriptor)
                os.write(descriptor, (("\n" if torn else "") + line).encode("utf-8", "backslashreplace"))
            finally:
                os.close(descriptor)

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the log holds, oldest first, without torn lines; nothing where there is no log."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return
        for line in content.splitlines():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and isinstance(value.get("event"), str):
                yield value


def _ends_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"

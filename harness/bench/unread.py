"""Options that a plan gives a value, though nothing reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING

from harness.contract.reading import noted

if TYPE_CHECKING:
    from harness.bench.entries import Entry
    from harness.bench.table import BenchTable


def unread_options(table: BenchTable, reads: Mapping[str, Set[str]]) -> Iterator[str]:
    """A line for each method of a table with options that the plan changes in vain.

    Args:
        reads: a stage's key → the options that it was seen to read, as far as it was trained in this bench. Of any
            other stage all that may decide it count as read.
    """
    for entry in table.entries:
        read = _read_by_stages(entry)
        for job in table.jobs:
            if job.label == entry.label:
                read |= reads.get(job.key) or entry.reads(job.stage)
        for name in entry.changed:
            if name not in read:
                yield f"{entry.label}: no stage reads the option {name} with these values: setting it changes nothing"


def _read_by_stages(entry: Entry) -> set[str]:
    """What decides which stages there are."""
    read: set[str] = set()
    entry.method.stages(noted(entry.options, read.add))
    return read

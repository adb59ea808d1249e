"""What a row says of the row of an earlier run that its backbone started from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.runs.records import PretrainingRecord


def pretrained(records: Sequence[PretrainingRecord]) -> str:
    """``rfs/simple of bench 2b44… (CIFAR-FS, 64 base classes, those of this table)``; empty where there are none.

    Args:
        records: of the seeds of one row.
    """
    if not records:
        return ""
    first = records[0]
    benches = list(dict.fromkeys(record.bench for record in records))
    seeds = list(dict.fromkeys(record.seed for record in records))
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"each seed from its own ({', '.join(map(str, seeds))})"
    about = [first.dataset, f"{first.n_classes} {_KINDS[first.train_on]}"]
    if all(record.same_data for record in records):
        about.append("those of this table")
    if any(record.may_know_novel for record in records):
        about.append("among which the classes scored here may be")
    text = f"{first.row}, {which}, of bench {' and '.join(benches)} ({', '.join(about)}; its cost is not counted)"
    return f"{text}, which itself started from {first.before}" if first.before else text


_KINDS = {"train": "base classes", "trainval": "base and validation classes"}

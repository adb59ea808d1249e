"""CSV tables of names: which image or folder belongs to which class or split."""

from __future__ import annotations

import csv
import io

from harness.common.errors import DataError
from harness.datasets.preparing.sources.files import File, read

LARGEST = 32 << 20  # bytes
MOST_LINES = 1_000_000


def read_table(file: File, first: str, second: str) -> list[tuple[str, str]] | None:
    """The columns ``first`` and ``second`` line by line, "" where a line is short; None where the table lacks them.

    Raises DataError where the file is no CSV in UTF-8, or has far more lines than a dataset has images.
    """
    try:
        lines = csv.reader(io.StringIO(read(file, LARGEST).decode("utf-8-sig"), newline=""))
        header = next(lines, [])
        if first not in header or second not in header:
            return None
        places = header.index(first), header.index(second)
        rows = []
        for line in lines:
            if line:
                rows.append(tuple(line[place] if place < len(line) else "" for place in places))
            if len(rows) > MOST_LINES:
                raise DataError(f"{file.name}: more than {MOST_LINES:,} lines, far more than a dataset has images")
        return rows  # type: ignore[return-value]
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{file.name}: not a CSV table in UTF-8: save it again as one") from None

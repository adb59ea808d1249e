"""What the pages of benches show beside numbers, for an archive of them: see ``harness.runs.shown``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.reports.answer import contestants
from harness.reports.formats.page import tables
from harness.reports.formats.page.charts_map import mapped
from harness.reports.formats.page.episodes import browser, shown_images
from harness.reports.formats.page.pictures import table_pictures
from harness.runs.shown import Shown

if TYPE_CHECKING:
    from harness.reports.model import Table


def shown(table: Table) -> Shown | None:
    """The pictures and features that the page of a table shows; None where it shows neither."""
    kept = table.predictions
    if kept is None or kept.split is None:
        return None
    names = [row.name for row in contestants(tables.ranked(table))]
    on_map = mapped(kept, names)
    numbers = [*shown_images(browser(kept, names)), *(on_map.images.tolist() if on_map else [])]
    pictures = table_pictures(table, numbers)
    if on_map is None:
        return Shown(kept.split.fingerprint, pictures) if pictures else None
    features = np.ascontiguousarray(on_map.features, dtype=np.float32)
    return Shown(kept.split.fingerprint, pictures, on_map.row, on_map.images.astype(np.int64), features)

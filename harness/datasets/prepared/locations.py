"""Where prepared data and what can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(given: Path | str | None = None) -> Path:
    """The folder with prepared datasets: ``--data-root``, else ``$HARNESS_DATA``, else the user's data folder."""
    chosen = given or os.environ.get("HARNESS_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("harness", appauthor=False))


def cache_root() -> Path:
    """The folder for what can be made again: ``$HARNESS_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("harness", appauthor=False))

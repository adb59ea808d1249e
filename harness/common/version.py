"""The version of the harness, said here alone, and those of what is installed beside it."""

from functools import cache
from importlib import metadata

__version__ = "0.2.0.dev0"


@cache  # looking takes a millisecond, and conditions name it many times
def installed_version(distribution: str) -> str:
    """Raises importlib.metadata.PackageNotFoundError where it is not installed."""
    return metadata.version(distribution)

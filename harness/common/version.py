"""The version of the harness, said here alone."""

__version__ = "0.2.0.dev0"

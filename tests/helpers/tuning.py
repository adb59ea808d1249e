"""A search on the tiny dataset, for tests."""

from __future__ import annotations

from harness.tuning.space import Range

BETA = {"skd.beta": Range(0.025, 0.5)}
SMALL = {
    "dataset": ("tiny",),
    "methods": ("skd",),
    "budget": 320,
    "episodes": 10,
    "queries": 5,
    "device": "cpu",
    "precision": "32",
    "threads": 1,
}

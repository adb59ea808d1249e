"""What tests of benches ask of events and run folders."""

from __future__ import annotations

from harness.execution.events import JobEvent


def happened(events, *kinds):
    """What of these kinds happened within jobs: pairs of a job and an event."""
    return [(e.job, e.event) for e in events if isinstance(e, JobEvent) and isinstance(e.event, kinds)]


def weights(runs):
    """Stage folder's name → the bytes of its weights."""
    return {path.parent.name: path.read_bytes() for path in runs.glob("stages/*/*/weights.safetensors")}

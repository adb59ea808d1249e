"""What the tests of archives share."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def bench(runs):
    """Two benches, the second with a row that failed, and a stage that no bench names."""
    bench = runs(seeds=(0, 1, 2), baseline="rfs/simple").add("rfs/simple", history=[{"loss": 1.0}]).save("aaa")
    bench.add("skd/gen0", mean=0.6).add("skd/gen1", failure="boom").save("bbb")
    first = bench.output / bench.stages[0].folder
    shutil.copytree(first, first.parent / "other-stage-seed0-0123456789ab")
    (first / "checkpoint-1.pt").write_bytes(b"a pickle")
    (first / ".lock").write_bytes(b"")
    (first / "embeddings").mkdir()
    (first / "embeddings" / "test-0.safetensors").write_bytes(bytes(1000))
    return bench

"""What the tests of plugins share."""

from __future__ import annotations

import pytest

from tests.helpers.skd import B, Fitted


@pytest.fixture
def gen0(plain):
    """Gen-0 of SKD after a few steps."""
    return Fitted(plain, "gen0", images=6 * 4 * B, learning_rate=0.05)

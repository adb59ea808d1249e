"""Which images an episode shows: the same for every method."""

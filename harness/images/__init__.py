"""Images changed at random without changing their class, and turned on purpose."""

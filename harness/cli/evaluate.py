"""``harness evaluate``: score what is trained, again, otherwise."""

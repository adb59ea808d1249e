"""From a plan to a record: what is to be done, in which order, and what became of it."""

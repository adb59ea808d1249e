"""A search for the options of a method on validation classes."""

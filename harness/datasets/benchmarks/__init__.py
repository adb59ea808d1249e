"""The datasets that the harness brings, a file a family."""

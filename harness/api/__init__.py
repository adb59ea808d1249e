"""What a notebook or a script calls in place of the command line: a bench, and its results as frames."""

"""Datasets on disk as the harness reads them: memory-mapped, fingerprinted."""

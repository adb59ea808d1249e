"""What every room uses: errors, files that are written whole or not at all, random generators, the version."""

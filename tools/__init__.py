"""Programs that make targets run, from the repository's root: `python -m tools.NAME`."""

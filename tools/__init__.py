"""Programs that make targets run."""

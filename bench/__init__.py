"""What the figures in README.md and docs/ are made from: `python -m bench.NAME`, from the root."""

"""A model card: what a checkpoint was made from, how, and what was measured of it."""
